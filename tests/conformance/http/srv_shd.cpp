// SPDX-License-Identifier: MIT
// HTTP-SRV-SHD, HTTP-SRV-DSC and HTTP-SRV-ERR: what becomes of handlers when their server stops, or
// their client is gone, or they fail too late. Time is virtual here.
#include "app.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/health.h>
#include <heddle/sched/simulate.h>

#include <string>
#include <string_view>

namespace {

using namespace conformance;

CASES(HTTP_SRV_SHD_STOP);
CASES(HTTP_SRV_DSC_GONE);
CASES(HTTP_SRV_ERR_LATE);

std::string ask(std::string_view method, std::string_view path) {
  return std::string(method) + " " + std::string(path) +
         " HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
}

/// What handlers noted. One virtual thread runs at a time.
struct notes {
  bool cancelled = false;
  bool cleaned = false;
  bool finished = false;
  std::string error;
};

/// Works for an hour. Cancelled, it cleans up for so long, and answers 503.
h::task<http::response> work_long(notes& n, h::duration cleanup) {
  try {
    co_await h::sleep(1h);
  } catch (const h::cancelled_error&) { n.cancelled = true; }
  if (n.cancelled) {
    co_await h::sleep(cleanup);
    n.cleaned = true;
  }
  co_return http::response::text("stopped", 503);
}

TEST_P(HTTP_SRV_SHD_STOP, HTTP_SRV_SHD_02_AHandlerIsCancelledCleansUpAndIsAwaited) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    notes quick;
    notes slow;
    http::router r;
    r.post("/quick", [&](http::request&) { return work_long(quick, 300ms); });
    r.post("/slow", [&](http::request&) { return work_long(slow, 5s); });
    http::server_options o;
    o.cleanup_time = 1s;
    http::test_client c(r, o);
    auto starting = c.start();
    co_await starting;
    h::connection first = c.connect();
    first.writer.write(ask("POST", "/quick"));
    h::connection second = c.connect();
    second.writer.write(ask("POST", "/slow"));
    co_await h::sleep(1s);
    const auto began = h::clock::now();
    auto stopping = h::create_task(c.stop(2s));
    co_await h::sleep(1s);
    HOLDS(!quick.cancelled && !slow.cancelled);  // the grace
    // In time: its answer arrives.
    const std::string answer = co_await read_to_end(first);
    HOLDS(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("stopped")) << answer;
    HOLDS(quick.cleaned);
    first.writer.close();
    // Too slow: its connection is reset, and it is waited for all the same.
    const std::string nothing = co_await read_to_end(second);
    HOLDS(nothing.starts_with("(")) << nothing;
    const auto reset_after = h::clock::now() - began;
    HOLDS(reset_after >= 3s && reset_after < 4s);
    HOLDS(slow.cancelled && !slow.cleaned);
    HOLDS(!stopping.done());
    co_await stopping;
    HOLDS(slow.cleaned);
    HOLDS(h::clock::now() - began >= 7s);
    EQUAL(c.stats().connections, 0u);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_SHD_STOP, HTTP_SRV_SHD_02_WhatWasCutOffNeverLooksWhole) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    http::router r;
    r.get("/drip", [](http::request&) {
      http::response answer;
      answer.stream.write = [](http::body_writer& out) -> h::task<> {
        for (;;) {
          h::task<> sent = out.write("x");
          co_await sent;
          co_await h::sleep(1s);
        }
      };
      return answer;
    });
    http::test_client c(r);
    auto starting = c.start();
    co_await starting;
    h::connection peer = c.connect();
    // The body of such an answer ends with the connection, so an end without a reset is an end.
    peer.writer.write("GET /drip HTTP/1.0\r\n\r\n");
    (void)co_await read_until(peer, "xx");
    auto stopping = h::create_task(c.stop(1s));
    const std::string rest = co_await read_to_end(peer);
    HOLDS(rest.ends_with(")")) << rest;
    co_await stopping;
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_SHD_STOP,
       HTTP_SRV_SHD_06_ReadinessEndsWithTheBeginningOfTheStopAndLivenessDoesNot) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    bool database = false;
    http::router r;
    r.get("/live", http::liveness()).get("/ready", http::readiness());
    r.get("/all", http::readiness([&] { return database; }));
    r.post("/slow", [](http::request&) -> h::task<http::response> {
      co_await h::sleep(10s);
      co_return http::response::text("done");
    });
    http::test_client c(r);
    EQUAL(co_await got(c, "/live"), "200 alive");
    EQUAL(co_await got(c, "/ready"), "200 ready");
    EQUAL(co_await got(c, "/all"), "503 not ready");
    database = true;
    EQUAL(co_await got(c, "/all"), "200 ready");
    auto working = h::create_task(asked(c, "POST", "/slow"));
    co_await h::sleep(1s);
    auto stopping = h::create_task(c.stop(60s));
    for (int i = 0; i < 3; ++i) {
      co_await h::sleep(1s);
      EQUAL(co_await got(c, "/ready"), "503 stopping");
      EQUAL(co_await got(c, "/all"), "503 stopping");
      EQUAL(co_await got(c, "/live"), "200 alive");
    }
    EQUAL(co_await working, "200 done");
    co_await stopping;
  });
}

TEST_P(HTTP_SRV_DSC_GONE, HTTP_SRV_DSC_02_AHandlerThatGoesOnHearsOfItAndIsWaitedFor) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    notes whole;
    notes streamed;
    http::router r;
    r.post("/work", [&](http::request&) -> h::task<http::response> {
      co_await h::sleep(10s);
      whole.finished = true;
      co_return http::response::text("done");
    });
    r.post("/stream", [&](http::request&) {
      http::response answer;
      answer.stream.write = [&](http::body_writer& out) -> h::task<> {
        try {
          for (;;) {
            h::task<> sent = out.write("x");
            co_await sent;
            co_await h::sleep(1s);
          }
        } catch (const http::connection_lost&) {
          streamed.error = "connection_lost";
          throw;
        }
      };
      return answer;
    });
    http::test_client c(r);
    auto starting = c.start();
    co_await starting;
    h::connection reader = c.connect();
    reader.writer.write(ask("POST", "/stream"));
    (void)co_await read_until(reader, "x\r\n");
    reader.writer.abort();
    co_await h::sleep(3s);
    EQUAL(streamed.error, "connection_lost");
    EQUAL(c.stats().aborted, 1u);
    EQUAL(c.stats().connections, 0u);
    h::connection poster = c.connect();
    poster.writer.write(ask("POST", "/work"));
    co_await h::sleep(1s);
    poster.writer.abort();
    co_await h::sleep(1s);
    const auto began = h::clock::now();
    auto stopping = c.stop(1h);
    co_await stopping;
    HOLDS(whole.finished);
    HOLDS(h::clock::now() - began >= 7s);
    EQUAL(c.stats().aborted, 2u);  // its answer was dropped
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_ERR_LATE, HTTP_SRV_ERR_02_AnErrorBehindTheHeadResetsAndIsReported) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/late", [](http::request&) {
      http::response answer;
      answer.stream.write = [](http::body_writer& out) -> h::task<> {
        h::task<> sent = out.write("begun");
        co_await sent;
        throw error_e();
      };
      return answer;
    });
    r.get("/", says("next"));
    http::test_client c(r);
    auto starting = c.start();
    co_await starting;
    h::connection peer = c.connect();
    peer.writer.write(ask("GET", "/late") + ask("GET", "/"));
    const std::string all = co_await read_to_end(peer);
    // What came of it is the beginning of one answer, and its end is a reset.
    HOLDS(all.empty() || all.front() == '(' || all.starts_with("HTTP/1.1 200 ")) << all;
    EQUAL(all.find("HTTP/1.1 ", 1), std::string::npos);
    EQUAL(all.find("\r\n0\r\n"), std::string::npos);
    EQUAL(all.find("next"), std::string::npos);
    HOLDS(all.ends_with(")")) << all;
    auto stopping = c.stop();
    co_await stopping;
  });
  const auto all = reports();
  EQUAL(all.size(), 1u);
  for (const auto& one : all) {
    EQUAL(one.message, "a streamed body failed");
    EQUAL(name_of(one.error), "E");
  }
}

}  // namespace
