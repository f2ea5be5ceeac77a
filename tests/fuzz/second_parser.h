// SPDX-License-Identifier: MIT
// Another parser's opinion: second_parser.py in a process of its own, which lives as long as this
// one.
#pragma once

#include "fuzzed.h"

#include <heddle/io/http/message.h>

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

namespace fuzzed {

class second_parser {
 public:
  /// `about`: requests or responses.
  explicit second_parser(const char* about) {
    (void)std::signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> questions{};
    std::array<int, 2> answers{};
    must(::pipe2(questions.data(), O_CLOEXEC) == 0 && ::pipe2(answers.data(), O_CLOEXEC) == 0,
         "there are pipes");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, questions[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, answers[1], STDOUT_FILENO);
    std::array<std::string, 4> words{"/usr/bin/python3", "-B", HEDDLE_SECOND_PARSER, about};
    std::array<char*, 5> command{words[0].data(), words[1].data(), words[2].data(), words[3].data(),
                                 nullptr};
    pid_t pid = 0;
    must(::posix_spawn(&pid, command[0], &actions, nullptr, command.data(), environ) == 0,
         "Python runs");
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(questions[0]);
    ::close(answers[1]);
    to_ = questions[1];
    from_ = answers[0];
  }
  second_parser(const second_parser&) = delete;

  std::string ask(std::string_view connection) const {
    std::array<unsigned char, 4> size{};
    for (std::size_t i = 0; i < 4; ++i)
      size[i] = static_cast<unsigned char>(connection.size() >> (8 * i));
    put({reinterpret_cast<const char*>(size.data()), size.size()});
    put(connection);
    const std::string head = get(4);
    std::size_t n = 0;
    for (std::size_t i = 4; i-- > 0;) n = n << 8U | static_cast<unsigned char>(head[i]);
    return get(n);
  }

 private:
  void put(std::string_view bytes) const {
    while (!bytes.empty()) {
      const auto n = ::write(to_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      must(n > 0, "the second parser takes questions");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  std::string get(std::size_t n) const {
    std::string bytes(n, '\0');
    for (std::size_t at = 0; at < n;) {
      const auto got = ::read(from_, bytes.data() + at, n - at);
      if (got < 0 && errno == EINTR) continue;
      must(got > 0, "the second parser answers");
      at += static_cast<std::size_t>(got);
    }
    return bytes;
  }

  int to_ = -1;
  int from_ = -1;
};

inline void add_hex(std::string& to, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  to += ' ';
  for (const char c : bytes) {
    to += digits[static_cast<unsigned char>(c) >> 4U];
    to += digits[static_cast<unsigned char>(c) & 15U];
  }
}

inline std::string lower(std::string_view text) {
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

/// The text with each run of white space as one space: a folded value is unfolded in several ways.
inline std::string spaced(std::string_view text) {
  std::string one;
  for (const char c : text)
    if ((c != ' ' && c != '\t') || !one.ends_with(' ')) one += c == '\t' ? ' ' : c;
  return one;
}

/// The fields but Host, as second_parser.py has them: "name:value" in lines, sorted.
inline std::string fields_of(const http::headers& all) {
  std::vector<std::string> kept;
  for (const auto field : all) {
    const std::string name = lower(field.name);
    if (name == "host") continue;
    const std::string value = spaced(field.value);
    kept.push_back(name + ":" + (name == "transfer-encoding" ? lower(value) : value));
  }
  std::ranges::sort(kept);
  std::string lines;
  for (const auto& field : kept) lines.append(lines.empty() ? "" : "\n").append(field);
  return lines;
}

/// What a parser makes of a connection, in the words of second_parser.py.
struct verdict {
  std::string messages;  // a line each
  std::string rest;      // idle, unfinished or refused
};

inline void agree(bool so, const verdict& ours, const std::string& theirs, const char* what) {
  if (so) return;
  std::fprintf(stderr, "heddle says:\n%s%s\nh11 says:\n%s\n", ours.messages.c_str(),
               ours.rest.c_str(), theirs.c_str());
  must(false, what);
}

}  // namespace fuzzed
