// SPDX-License-Identifier: MIT
// router::on_prepare: what sees all answers before their heads leave.
#include <heddle/core/errors.h>
#include <heddle/io/http/middleware.h>
#include <heddle/io/http/router.h>
#include <heddle/io/http/test_client.h>
#include <heddle/io/stream.h>
#include <heddle/sched/runtime.h>

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace h = heddle;
namespace http = heddle::http;

/// Adds a letter to X-Seen of each answer.
auto marks(std::string letter) {
  return [letter = std::move(letter)](const http::request&, http::response& r) {
    const std::string before(r.headers.get("x-seen").value_or(""));
    r.headers.set("X-Seen", before + letter);
  };
}

http::response streamed() {
  http::response r;
  r.stream.write = [](http::body_writer& out) -> h::task<> {
    h::task<> sent = out.write("streamed");
    co_await sent;
  };
  return r;
}

/// The status of the answer, and its X-Seen.
h::task<std::string> seen_of(http::test_client& c, std::string target) {
  h::task<http::response> asking = c.get(std::move(target));
  const http::response answer = co_await asking;
  co_return std::to_string(answer.status) + " " +
      std::string(answer.headers.get("x-seen").value_or("-"));
}

h::options two_loops(std::atomic<int>& reports) {
  h::options o;
  o.loops = 2;
  o.exception_handler = [&reports](const h::error_context&) { ++reports; };
  return o;
}

http::router tree() {
  const auto plain = [](http::request&) { return http::response::text("x"); };
  http::router inner;
  inner.on_prepare(marks("i"));
  inner.get("/", plain);
  http::router root;
  root.on_prepare(marks("a")).on_prepare([](http::request&, http::response& r) {
    r.headers.set("X-Seen", std::string(r.headers.get("x-seen").value_or("")) + "b");
  });
  root.get("/plain", plain).get("/stream", [](http::request&) { return streamed(); });
  root.get("/throws", [](http::request&) -> http::response { throw std::runtime_error("E"); });
  root.get("/late", [](http::request&) -> h::task<http::response> {
    throw http::status_error(409, "no");
    co_return http::response();
  });
  root.nest("/in", inner);
  return root;
}

TEST(HttpPrepare, AnswersOfAllKindsAreSeenTheOuterRouterFirst) {
  std::atomic<int> reports = 0;
  h::run(
      []() -> h::task<> {
        http::test_client c(tree());
        EXPECT_EQ(co_await seen_of(c, "/plain"), "200 ab");
        EXPECT_EQ(co_await seen_of(c, "/stream"), "200 ab");
        EXPECT_EQ(co_await seen_of(c, "/throws"), "500 ab");
        EXPECT_EQ(co_await seen_of(c, "/late"), "409 ab");
        EXPECT_EQ(co_await seen_of(c, "/none"), "404 ab");
        EXPECT_EQ(co_await seen_of(c, "/in"), "200 abi");
        EXPECT_EQ(co_await seen_of(c, "/in/none"), "404 abi");
        h::connection peer = c.connect();
        peer.writer.write("GET /plain HTTP/1.1\r\nBad Field: x\r\n\r\n");
        const std::string head = co_await peer.reader.read_until("\r\n\r\n");
        EXPECT_TRUE(head.starts_with("HTTP/1.1 400 ")) << head;
        EXPECT_NE(head.find("X-Seen: ab\r\n"), std::string::npos) << head;
        peer.writer.close();
      }(),
      two_loops(reports));
  EXPECT_EQ(reports, 1);
}

TEST(HttpPrepare, BehindAMiddlewareAnAnswerIsSeenOnce) {
  std::atomic<int> reports = 0;
  h::run(
      []() -> h::task<> {
        http::router r = tree();
        r.use([](http::request& asked, http::next go_on) -> h::task<http::response> {
          h::task<http::response> work = go_on(asked);
          http::response answer = co_await work;
          answer.headers.set("X-Seen", "m");
          co_return answer;
        });
        http::test_client c(r);
        EXPECT_EQ(co_await seen_of(c, "/plain"), "200 mab");
        EXPECT_EQ(co_await seen_of(c, "/none"), "404 mab");
        EXPECT_EQ(co_await seen_of(c, "/in"), "200 mabi");
        h::connection peer = c.connect();
        peer.writer.write("GET /plain HTTP/1.1\r\nBad Field: x\r\n\r\n");
        const std::string head = co_await peer.reader.read_until("\r\n\r\n");
        EXPECT_NE(head.find("X-Seen: mab\r\n"), std::string::npos) << head;
        peer.writer.close();
      }(),
      two_loops(reports));
  EXPECT_EQ(reports, 0);
}

TEST(HttpPrepare, OneThatThrowsMakesA500AndIsReported) {
  std::atomic<int> reports = 0;
  h::run(
      []() -> h::task<> {
        http::router r;
        r.on_prepare([](const http::request&, http::response&) { throw std::runtime_error("E"); });
        r.get("/", [](http::request&) { return http::response::text("x"); });
        http::test_client c(r);
        EXPECT_EQ(co_await seen_of(c, "/"), "500 -");
      }(),
      two_loops(reports));
  EXPECT_EQ(reports, 1);
}

}  // namespace
