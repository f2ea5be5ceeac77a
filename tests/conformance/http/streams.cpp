// SPDX-License-Identifier: MIT
// HTTP-SSE, HTTP-SRV-DSC and HTTP-SRV-CTX: streams of events, clients that leave, and what begins
// and ends with an application. Time is virtual here.
#include "app.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/events.h>
#include <heddle/io/http/server.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/simulate.h>

namespace {

using namespace conformance;

CASES(HTTP_SSE_SERVER);
CASES(HTTP_SRV_DSC);
CASES(HTTP_SRV_CTX);
CASES(HTTP_SRV_SUB_LIFE);

struct log {
  std::vector<std::string> lines;
  void add(std::string line) { lines.push_back(std::move(line)); }
  [[nodiscard]] std::string all() const {
    std::string text;
    for (const auto& line : lines) text += line + " ";
    return text;
  }
};

h::async_generator<http::sse_event> ticks(int count, h::duration each, log& l) {
  struct at_end {
    log& to;
    ~at_end() { to.add("closed"); }
  } const noted{l};
  for (int i = 0; i < count; ++i) {
    co_await h::sleep(each);
    http::sse_event e;
    e.data = std::to_string(i);
    co_yield e;
  }
}

constexpr const char* ask = "GET /e HTTP/1.1\r\nHost: h\r\n\r\n";

TEST_P(HTTP_SSE_SERVER, HTTP_SSE_02_AStreamThatHasNothingToSayShowsThatItLives) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    log l;
    http::router r;
    r.get("/e", [&](http::request&) { return http::response::events(ticks(2, 40s, l)); });
    http::test_client c(r);
    auto starting = c.start();
    co_await starting;
    h::connection peer = c.connect();
    peer.writer.write(ask);
    const auto began = h::clock::now();
    const std::string first = co_await read_until(peer, ":\n");  // a comment
    HOLDS(first.find("\r\nContent-Type: text/event-stream\r\n") != std::string::npos);
    HOLDS(first.find("\r\nCache-Control: no-store\r\n") != std::string::npos);
    HOLDS(h::clock::now() - began >= 15s && h::clock::now() - began < 16s);
    const std::string event = co_await read_until(peer, "data: 0\n");
    HOLDS(h::clock::now() - began >= 40s && h::clock::now() - began < 41s);
    const std::string rest = co_await read_until(peer, "0\r\n\r\n");
    HOLDS(rest.find("data: 1\n") != std::string::npos);
    EQUAL(l.all(), "closed ");
  });
  THROWS(h::bad_value, [] {
    log l;
    (void)http::response::events(ticks(1, 1s, l), 0s);
  }());
}

TEST_P(HTTP_SSE_SERVER, HTTP_SSE_03_ASourceEndsWithItsClientAndWithItsServer) {
  for (const bool by_stop : {false, true}) {
    h::testing::simulate(1, with(), [by_stop]() -> h::task<> {
      log l;
      http::router r;
      r.get("/e", [&](http::request&) { return http::response::events(ticks(9, 1h, l)); });
      http::test_client c(r);
      auto starting = c.start();
      co_await starting;
      h::connection peer = c.connect();
      peer.writer.write(ask);
      (void)co_await read_until(peer, ":\n");
      const auto began = h::clock::now();
      if (!by_stop) peer.writer.abort();
      auto stopping = c.stop(by_stop ? h::duration(1h) : h::duration(20s));
      if (!by_stop) {
        co_await h::sleep(16s);
        EQUAL(l.all(), "closed ");
        co_await stopping;
      } else {
        auto reading = h::create_task(read_to_end(peer));
        co_await stopping;
        const std::string rest = co_await reading;
        HOLDS(rest.ends_with("0\r\n\r\n"));  // the stream ends in order
        HOLDS(h::clock::now() - began < h::duration(3s));
        EQUAL(l.all(), "closed ");
      }
    });
  }
}

TEST_P(HTTP_SSE_SERVER, HTTP_SSE_04_ASlowClientMakesTheSourceWait) {
  run([]() -> h::task<> {
    std::atomic<int> made = 0;
    http::router r;
    r.get("/e", [&](http::request&) {
      return http::response::events([](std::atomic<int>& n) -> h::async_generator<http::sse_event> {
        for (;;) {
          ++n;
          http::sse_event e;
          e.data = std::string(10'000, 'x');
          co_yield e;
        }
      }(made));
    });
    http::test_client c(r);
    auto starting = c.start();
    co_await starting;
    h::connection peer = c.connect();
    peer.writer.write(ask);
    int seen = -1;
    for (int same = 0; same < 50; same = made == seen ? same + 1 : 0) {
      seen = made;
      co_await h::sleep(1ms);
    }
    HOLDS(made < 100);  // 1 MB: what the two ends and the writer hold is less
    peer.writer.abort();
    auto stopping = c.stop();
    co_await stopping;
  });
}

TEST_P(HTTP_SRV_DSC, HTTP_SRV_DSC_01_ARouteSaysWhatBecomesOfItsHandlerWhenTheClientLeaves) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    log l;
    const auto works = [&l](std::string name) {
      return [&l, name](http::request&) -> h::task<http::response> {
        l.add("begin-" + name);
        try {
          co_await h::sleep(10s);
        } catch (const h::cancelled_error&) {
          l.add("cancelled-" + name);
          throw;
        }
        l.add("finished-" + name);
        co_return http::response();
      };
    };
    http::router r;
    r.get("/get", works("get")).post("/post", works("post"));
    r.get("/get/finish", works("getfinish")).on_disconnect(http::disconnect::finish);
    r.post("/post/cancel", works("postcancel")).on_disconnect(http::disconnect::cancel);
    http::test_client c(r);
    auto starting = c.start();
    co_await starting;
    for (const char* line : {"GET /get", "POST /post", "GET /get/finish", "POST /post/cancel"}) {
      h::connection peer = c.connect();
      peer.writer.write(std::string(line) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
      co_await h::sleep(1s);
      peer.writer.abort();
      co_await h::sleep(20s);
    }
    EQUAL(l.all(),
          "begin-get cancelled-get begin-post finished-post begin-getfinish "
          "finished-getfinish begin-postcancel cancelled-postcancel ");
  });
  EQUAL(report_count(), 0u);
}

/// A router whose context notes its steps. `fails`: "enter", "exit" or "".
http::router noting(log& l, std::string name, std::string fails = {}) {
  http::router r;
  r.context(
      [&l, name, fails]() -> h::task<> {
        l.add("enter-" + name);
        if (fails == "enter") throw error_e();
        co_return;
      },
      [&l, name, fails]() -> h::task<> {
        l.add("exit-" + name);
        if (fails == "exit") throw error_f();
        co_return;
      });
  r.get("/" + name, says(name));
  return r;
}

TEST_P(HTTP_SRV_CTX, HTTP_SRV_CTX_01_ContextsEnterInOrderAndExitInReverse) {
  run([]() -> h::task<> {
    log l;
    http::router r = noting(l, "a");
    r.context(
        [&l]() -> h::task<> {
          l.add("enter-b");
          co_return;
        },
        [&l]() -> h::task<> {
          l.add("exit-b");
          co_return;
        });
    r.nest("/sub", noting(l, "sub"));
    r.background([&l]() -> h::task<> {
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {
        l.add("background-ends");
        throw;
      }
    });
    http::test_client c(r);
    EQUAL(co_await got(c, "/a"), "200 a");
    for (int i = 0; i < 20; ++i) co_await h::yield_now();
    co_await h::sleep(5ms);
    auto stopping = c.stop();
    co_await stopping;
    HOLDS(l.all().starts_with("enter-a enter-b enter-sub "));
    HOLDS(l.all().ends_with("exit-sub exit-b exit-a "));
  });
}

TEST_P(HTTP_SRV_CTX, HTTP_SRV_CTX_02_WhatHasEnteredExitsIfTheNextOneFails) {
  run([]() -> h::task<> {
    log l;
    http::router r = noting(l, "a");
    r.nest("/b", noting(l, "b", "enter")).nest("/c", noting(l, "c"));
    http::test_client c(r);
    EQUAL(co_await ending(c.start()), "E");
    EQUAL(l.all(), "enter-a enter-b exit-a ");
    http::server s(noting(l, "s", "enter"));
    EQUAL(co_await ending(s.start("127.0.0.1", 0)), "E");
    HOLDS(!s.is_serving());
    EQUAL(s.port(), 0);
  });
}

TEST_P(HTTP_SRV_CTX, HTTP_SRV_CTX_03_AllExitsRunWhateverSomeThrow) {
  run([]() -> h::task<> {
    log l;
    http::router r = noting(l, "a", "exit");
    r.nest("/b", noting(l, "b", "exit")).nest("/c", noting(l, "c"));
    http::test_client c(r);
    auto starting = c.start();
    co_await starting;
    EQUAL(co_await ending(c.stop()), "Group{F,F}");
    HOLDS(l.all().ends_with("exit-c exit-b exit-a "));
    http::test_client one(noting(l, "one", "exit"));
    auto starting_one = one.start();
    co_await starting_one;
    EQUAL(co_await ending(one.stop()), "F");
  });
}

TEST_P(HTTP_SRV_SUB_LIFE, HTTP_SRV_SUB_04_EachApplicationBeginsAndEndsOnce) {
  run([]() -> h::task<> {
    log l;
    http::router inner = noting(l, "inner");
    http::router outer = noting(l, "outer");
    outer.nest("/inner", inner);
    http::router r = noting(l, "top");
    r.nest("/outer", outer);
    http::test_client c(r);
    EQUAL(co_await got(c, "/outer/inner/inner"), "200 inner");
    auto stopping = c.stop();
    co_await stopping;
    EQUAL(l.all(), "enter-top enter-outer enter-inner exit-inner exit-outer exit-top ");
  });
}

}  // namespace
