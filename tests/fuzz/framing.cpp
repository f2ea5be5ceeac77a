// SPDX-License-Identifier: MIT
// Requests as heddle reads them, and as h11 does: an independent parser, written in Python.
//
// Who stands between a client and heddle may read requests in another way. If heddle then takes for
// a request what was the body of another one, a client can smuggle. So what heddle accepts must be
// accepted by h11, too, with the same end, fields and body. What heddle refuses is no danger: it
// answers 400 and closes.
#include "fuzzed.h"

#include <heddle/io/http/message/parser.h>

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

namespace {

using namespace fuzzed;

/// second_parser.py, which lives as long as this process.
class second_parser {
 public:
  second_parser() {
    std::array<int, 2> questions{};
    std::array<int, 2> answers{};
    must(::pipe2(questions.data(), O_CLOEXEC) == 0 && ::pipe2(answers.data(), O_CLOEXEC) == 0,
         "there are pipes");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, questions[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, answers[1], STDOUT_FILENO);
    std::array<std::string, 3> words{"/usr/bin/python3", "-B", HEDDLE_SECOND_PARSER};
    std::array<char*, 4> command{words[0].data(), words[1].data(), words[2].data(), nullptr};
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

void add_hex(std::string& to, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  to += ' ';
  for (const char c : bytes) {
    to += digits[static_cast<unsigned char>(c) >> 4U];
    to += digits[static_cast<unsigned char>(c) & 15U];
  }
}

std::string lower(std::string_view text) {
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

std::string fields_of(const http::request& r) {
  std::vector<std::string> kept;
  for (const auto field : r.headers) {
    const std::string name = lower(field.name);
    if (name == "host") continue;
    kept.push_back(name + ":" +
                   (name == "transfer-encoding" ? lower(field.value) : std::string(field.value)));
  }
  std::ranges::sort(kept);
  std::string all;
  for (const auto& field : kept) all.append(all.empty() ? "" : "\n").append(field);
  return all;
}

/// What heddle makes of a connection, in the words of second_parser.py.
struct verdict {
  std::string requests;  // a line each
  std::string rest;      // idle, unfinished or refused
};

verdict judge(std::string_view text) {
  verdict v;
  http::request_parser parser;
  std::size_t at = 0;
  while (at < text.size() && !parser.failed()) {
    at += parser.feed(text.substr(at));
    if (!parser.done()) continue;
    const auto& m = parser.message();
    v.requests += "request " + std::to_string(at);
    add_hex(v.requests, m.method.text());
    add_hex(v.requests, m.target);
    add_hex(v.requests, fields_of(m));
    add_hex(v.requests, m.body);
    v.requests += '\n';
    parser.next();
  }
  v.rest = parser.failed() ? "refused" : parser.idle() ? "idle" : "unfinished";
  return v;
}

void complain(const verdict& ours, const std::string& theirs, const char* what) {
  std::fprintf(stderr, "heddle says:\n%s%s\nh11 says:\n%s\n", ours.requests.c_str(),
               ours.rest.c_str(), theirs.c_str());
  must(false, what);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const second_parser h11 = [] {
    (void)std::signal(SIGPIPE, SIG_IGN);
    return second_parser();
  }();
  const cut_text in(data, size);
  const verdict ours = judge(in.text);
  if (ours.requests.empty() && ours.rest == "refused") return 0;
  const std::string theirs = h11.ask(in.text);
  if (!theirs.starts_with(ours.requests))
    complain(ours, theirs, "what is accepted is what another parser accepts");
  const auto rest = std::string_view(theirs).substr(ours.requests.size());
  if (ours.rest != "refused" && !rest.starts_with(ours.rest))
    complain(ours, theirs, "what is waited for is what another parser waits for");
  return 0;
}
