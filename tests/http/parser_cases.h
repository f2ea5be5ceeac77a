// SPDX-License-Identifier: MIT
// How tests of the request parser feed it: in one piece, and cut in many ways.
#pragma once

#include <heddle/io/http/message/parser.h>

#include <gtest/gtest.h>

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace parser_test {

using namespace heddle::http;

/// What became of a stream of bytes: the messages, a line each, and what ended it.
struct outcome {
  std::vector<std::string> messages;
  int error = 0;
  bool unfinished = false;

  friend bool operator==(const outcome&, const outcome&) = default;
};

inline std::ostream& operator<<(std::ostream& out, const outcome& o) {
  for (const auto& m : o.messages) out << "[" << m << "] ";
  return out << "error " << o.error << (o.unfinished ? " unfinished" : "");
}

inline std::string describe(const request& r) {
  std::string s(r.method.text());
  s += " " + r.target + " (" + r.path + ") " + (r.version == version::http_1_1 ? "1.1" : "1.0");
  for (const auto f : r.headers) s += " " + std::string(f.name) + "=<" + std::string(f.value) + ">";
  return s + " body=<" + r.body + ">" + (r.keep_alive ? "" : " close");
}

/// Feeds `text` in pieces of at most `step` bytes, as a server would.
inline outcome parse_in_steps(std::string_view text, std::size_t step, const limits& l = {}) {
  request_parser parser(l);
  outcome o;
  while (!text.empty()) {
    auto piece = text.substr(0, step);
    text.remove_prefix(piece.size());
    while (!piece.empty()) {
      const auto used = parser.feed(piece);
      if (parser.failed()) {
        o.error = parser.error().status;
        EXPECT_FALSE(parser.error().reason.empty());
        return o;
      }
      EXPECT_TRUE(used == piece.size() || parser.done());
      piece.remove_prefix(used);
      if (parser.done()) {
        o.messages.push_back(describe(parser.message()));
        parser.next();
      }
    }
  }
  o.unfinished = !parser.idle();
  return o;
}

/// The outcome in one piece. It must be the same byte by byte, and in pieces of some sizes between.
inline outcome parse(std::string_view text, const limits& l = {}) {
  const auto whole = parse_in_steps(text, text.size() + 1, l);
  for (const std::size_t step : {1u, 2u, 3u, 5u, 7u, 16u, 61u}) {
    EXPECT_EQ(parse_in_steps(text, step, l), whole) << "in pieces of " << step << ":\n" << text;
  }
  return whole;
}

inline int status_of(std::string_view text, const limits& l = {}) {
  const auto o = parse(text, l);
  EXPECT_TRUE(o.messages.empty()) << o;
  return o.error;
}

/// A request with these fields besides Host.
inline std::string with_fields(std::string_view fields, std::string_view body = {}) {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

inline outcome one(std::string message) { return {{std::move(message)}, 0, false}; }

inline std::string repeated(std::string_view text, int times) {
  std::string s;
  for (int i = 0; i < times; ++i) s += text;
  return s;
}

}  // namespace parser_test
