// SPDX-License-Identifier: MIT
// Bodies that are taken while they arrive: the parser's pieces, and body_reader over them.
#include <heddle/core/errors.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace heddle;
using namespace heddle::http;
using namespace std::chrono_literals;

constexpr std::string_view chunked =
    "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n";

/// What comes of the body with each feed of `step` bytes, joined by "|".
std::string pieces_of(std::string_view text, std::size_t step) {
  request_parser parser;
  parser.set_in_pieces(true);
  std::string all;
  std::string piece;
  bool seen_head = false;
  while (!text.empty() && !parser.done() && !parser.failed()) {
    const auto used = parser.feed(text.substr(0, step));
    text.remove_prefix(used);
    if (parser.head_done() && !std::exchange(seen_head, true)) {
      EXPECT_FALSE(parser.done());
      EXPECT_TRUE(parser.message().body.empty());
    }
    parser.take_body(piece);
    EXPECT_TRUE(parser.message().body.empty());
    all += piece;
  }
  EXPECT_TRUE(parser.done());
  EXPECT_TRUE(text.empty());
  return all;
}

TEST(HttpBodyPieces, AreTheBodyHoweverItWasCut) {
  for (std::size_t step = 1; step < chunked.size() + 1; ++step)
    EXPECT_EQ(pieces_of(chunked, step), "abcdefgh") << step;
}

TEST(HttpBodyPieces, TheHeadIsTakenAlone) {
  request_parser parser;
  parser.set_in_pieces(true);
  const auto used = parser.feed(chunked);
  EXPECT_EQ(used, chunked.find("3\r\n"));
  EXPECT_TRUE(parser.head_done());
  EXPECT_EQ(parser.declared_length(), std::nullopt);
}

TEST(HttpBodyPieces, WhatWasTakenCountsForTheLimit) {
  limits l;
  l.body_bytes = 7;
  request_parser parser(l);
  parser.set_in_pieces(true);
  std::string_view text = chunked;
  std::string piece;
  while (!text.empty() && !parser.failed()) {
    text.remove_prefix(parser.feed(text.substr(0, 1)));
    parser.take_body(piece);
  }
  EXPECT_TRUE(parser.failed());
  EXPECT_EQ(parser.error().status, 413);
}

TEST(HttpBodyPieces, ALimitOfItsOwnForOneBody) {
  request_parser parser;
  parser.set_in_pieces(true);
  std::string_view text = "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789";
  text.remove_prefix(parser.feed(text));
  EXPECT_EQ(parser.declared_length(), 10u);
  EXPECT_FALSE(parser.set_body_limit(9));
  EXPECT_TRUE(parser.set_body_limit(10));
  text.remove_prefix(parser.feed(text));
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(parser.message().body, "0123456789");
}

/// Yields the pieces it was given, then throws or ends. "~" is a pause.
class planned_input final : public http::detail::body_input {
 public:
  explicit planned_input(std::deque<std::string> pieces) : pieces_(std::move(pieces)) {}

  task<std::string_view> next() override {
    if (pieces_.empty()) co_return {};
    if (pieces_.front() == "!") throw payload_error("broken on purpose");
    if (pieces_.front() == "~") {
      pieces_.pop_front();
      co_await sleep(1h);
    }
    last_ = std::move(pieces_.front());
    pieces_.pop_front();
    co_return last_;
  }

 private:
  std::deque<std::string> pieces_;
  std::string last_;
};

body_reader reader_of(std::deque<std::string> pieces) {
  return body_reader(std::make_unique<planned_input>(std::move(pieces)));
}

task<> read_every_way() {
  auto b = reader_of({"ab", "cd\nef", "gh\n", "rest"});
  EXPECT_EQ(co_await b.read(1), "a");
  EXPECT_EQ(co_await b.read(100), "b");
  EXPECT_EQ(co_await b.read(0), "");
  EXPECT_EQ(co_await b.read_line(), "cd\n");
  EXPECT_EQ(co_await b.read_exactly(3), "efg");
  EXPECT_FALSE(b.at_eof());
  const auto piece = co_await b.next_chunk();
  EXPECT_EQ(piece, "h\n");
  EXPECT_EQ(co_await b.read_all(), "rest");
  EXPECT_TRUE(b.at_eof());
  EXPECT_EQ(co_await b.read(5), "");
  EXPECT_EQ(co_await b.read_line(), "");
  const auto none = co_await b.next_chunk();
  EXPECT_EQ(none, std::nullopt);
}

TEST(HttpBodyReader, ReadsByPieceNumberLineAndWhole) { run(read_every_way()); }

task<> meet_limits() {
  auto b = reader_of({"abcdef", "gh;ij"});
  try {
    (void)co_await b.read_until(";", 8);
    ADD_FAILURE() << "9 bytes are more than 8";
  } catch (const limit_overrun_error& e) {
    EXPECT_NE(std::string_view(e.what()).find("8 bytes"), std::string_view::npos);
  }
  EXPECT_EQ(co_await b.read_until(";", 9), "abcdefgh;");
  try {
    (void)co_await b.read_exactly(3);
    ADD_FAILURE() << "two bytes are left";
  } catch (const incomplete_read_error& e) { EXPECT_EQ(e.partial(), "ij"); }
  auto c = reader_of({"0123", "4567", "89"});
  try {
    (void)co_await c.read_all(9);
    ADD_FAILURE() << "10 bytes are more than 9";
  } catch (const limit_overrun_error&) {}
  EXPECT_EQ(co_await c.read_all(10), "0123456789");
}

TEST(HttpBodyReader, ALimitThatIsExceededConsumesNothing) { run(meet_limits()); }

task<> fail_twice() {
  auto b = reader_of({"abc", "!"});
  EXPECT_EQ(co_await b.read(2), "ab");
  for (int i = 0; i < 2; ++i) {
    try {
      (void)co_await b.read_all();
      ADD_FAILURE() << "the body is broken";
    } catch (const payload_error& e) { EXPECT_EQ(e.code(), errc::broken_body); }
  }
}

TEST(HttpBodyReader, AnErrorIsToldByEveryLaterRead) { run(fail_twice()); }

task<> cancel_and_go_on() {
  auto b = reader_of({"abc", "~", "def"});
  try {
    auto all = b.read_all();
    (void)co_await wait_for(std::move(all), 1ms);
    ADD_FAILURE() << "the input pauses for an hour";
  } catch (const timeout_error&) {}
  EXPECT_EQ(co_await b.read_all(), "abcdef");
}

TEST(HttpBodyReader, ACancelledReadLosesNothing) { run(cancel_and_go_on()); }

task<> read_text() {
  body_reader b(std::string("one\ntwo"));
  EXPECT_EQ(co_await b.read_line(), "one\n");
  body_reader moved = std::move(b);
  EXPECT_TRUE(b.at_eof());
  EXPECT_EQ(co_await moved.read_all(), "two");
  EXPECT_TRUE(body_reader().at_eof());
}

TEST(HttpBodyReader, ReadsWhatIsThereAlready) { run(read_text()); }

}  // namespace
