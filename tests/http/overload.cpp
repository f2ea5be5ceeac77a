// SPDX-License-Identifier: MIT
// A server that has as many requests at work as it may: the others wait, or are told at once when
// to come back. Time is virtual here.
#include <heddle/core/errors.h>
#include <heddle/io/http/middleware.h>
#include <heddle/io/http/router.h>
#include <heddle/io/http/test_client.h>
#include <heddle/io/stream.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/simulate.h>
#include <heddle/sched/sleep.h>
#include <heddle/sync/event.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace {

namespace h = heddle;
namespace http = heddle::http;
using namespace std::chrono_literals;

/// An application whose requests last until they are let go.
struct busy_app {
  busy_app() {
    app.post("/work/{n:int}", [this](http::request& r) -> h::task<http::response> {
      const std::string n(*r.path_value("n"));
      begun += n;
      co_await gate.wait();
      co_return http::response::text(n);
    });
    app.get("/now", [](http::request&) { return http::response::text("now"); });
    app.get("/probe",
            [](http::request&) -> h::task<http::response> {
              co_await h::sleep(1ms);
              co_return http::response::text("probed");
            })
        .always();
    app.get("/stream", [](http::request&) -> h::task<http::response> {
      co_await h::sleep(1ms);
      http::response answer;
      answer.stream.write = [](http::body_writer& out) -> h::task<> {
        for (int i = 0; i < 5; ++i) {
          h::task<> sent = out.write("x");
          co_await sent;
          co_await h::sleep(1s);
        }
      };
      co_return answer;
    });
  }
  http::router app;
  h::event gate;
  std::string begun;  // the numbers in order
};

http::server_options limited(std::size_t most, std::size_t waiting) {
  http::server_options o;
  o.max_requests = most;
  o.max_waiting_requests = waiting;
  o.max_request_wait = 1h;
  return o;
}

h::task<std::string> work(http::test_client& c, std::string n) {
  h::task<http::response> asking = c.post("/work/" + n, "");
  const http::response answer = co_await asking;
  co_return std::to_string(answer.status) + " " + answer.body;
}

h::task<std::string> got(http::test_client& c, std::string target) {
  h::task<http::response> asking = c.get(std::move(target));
  const http::response answer = co_await asking;
  co_return std::to_string(answer.status) + " " + answer.body;
}

class Overload : public testing::TestWithParam<unsigned> {
 protected:
  template <class F>
  void simulate(F body) {
    h::options o;
    o.loops = GetParam();
    for (std::uint64_t seed = 1; seed <= 3; ++seed) h::testing::simulate(seed, o, body);
  }
};
INSTANTIATE_TEST_SUITE_P(, Overload, testing::Values(1u, 2u, 4u),
                         [](const auto& p) { return std::to_string(p.param); });

TEST_P(Overload, SomeAreAtWorkSomeWaitInOrderAndTheOthersAreToldAtOnce) {
  simulate([]() -> h::task<> {
    busy_app a;
    http::server_options o = limited(2, 2);
    o.retry_after = 1500ms;
    http::test_client c(a.app, o);
    h::task<> starting = c.start();
    co_await starting;
    std::vector<h::task_handle<std::string>> all;
    for (const char* n : {"1", "2", "3", "4"}) {
      all.push_back(h::create_task(work(c, n)));
      co_await h::sleep(1ms);
    }
    EXPECT_EQ(a.begun, "12");
    EXPECT_EQ(c.stats().waiting, 2u);
    const auto began = h::clock::now();
    h::task<http::response> asking = c.post("/work/5", "");
    const http::response refused = co_await asking;
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.headers.get("retry-after"), "2");
    EXPECT_NE(refused.body.find("max_requests"), std::string::npos);
    EXPECT_LT(h::clock::now() - began, 10ms);
    EXPECT_EQ(c.stats().shed, 1u);
    EXPECT_EQ(c.stats().refused, 1u);
    // What waits for nothing is not counted, and a probe is let through.
    EXPECT_EQ(co_await got(c, "/now"), "200 now");
    EXPECT_EQ(co_await got(c, "/probe"), "200 probed");
    a.gate.set();
    for (std::size_t i = 0; i < all.size(); ++i)
      EXPECT_EQ(co_await all[i], "200 " + std::to_string(i + 1));
    EXPECT_EQ(a.begun.size(), 4u);
    EXPECT_EQ(c.stats().waiting, 0u);
    EXPECT_EQ(co_await work(c, "6"), "200 6");  // no place was lost
    h::task<> stopping = c.stop();
    co_await stopping;
  });
}

TEST_P(Overload, ThoseThatWaitComeInTheOrderOfTheirArrival) {
  simulate([]() -> h::task<> {
    busy_app a;
    http::test_client c(a.app, limited(1, 10));
    h::task<> starting = c.start();
    co_await starting;
    std::vector<h::task_handle<std::string>> all;
    for (const char* n : {"1", "2", "3", "4", "5"}) {
      all.push_back(h::create_task(work(c, n)));
      co_await h::sleep(1ms);
    }
    a.gate.set();
    for (auto& one : all) EXPECT_TRUE((co_await one).starts_with("200 "));
    EXPECT_EQ(a.begun, "12345");
  });
}

TEST_P(Overload, NobodyWaitsForLongerThanTheLimit) {
  simulate([]() -> h::task<> {
    busy_app a;
    http::server_options o = limited(1, 10);
    o.max_request_wait = 2s;
    http::test_client c(a.app, o);
    h::task<> starting = c.start();
    co_await starting;
    auto first = h::create_task(work(c, "1"));
    co_await h::sleep(1ms);
    const auto began = h::clock::now();
    const std::string late = co_await work(c, "2");
    EXPECT_TRUE(late.starts_with("503 ")) << late;
    const h::duration waited = h::clock::now() - began;
    EXPECT_GE(waited, 2s);
    EXPECT_LT(waited, 3s);
    a.gate.set();
    EXPECT_EQ(co_await first, "200 1");
    EXPECT_EQ(a.begun, "1");
    EXPECT_EQ(co_await work(c, "3"), "200 3");
  });
}

TEST_P(Overload, TheConnectionOfARefusedRequestIsKept) {
  simulate([]() -> h::task<> {
    busy_app a;
    http::test_client c(a.app, limited(1, 0));
    h::task<> starting = c.start();
    co_await starting;
    auto first = h::create_task(work(c, "1"));
    co_await h::sleep(1ms);
    h::connection peer = c.connect();
    peer.writer.write(
        "POST /work/2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        "GET /now HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    std::string all;
    while (co_await peer.reader.fill()) {
      all += peer.reader.buffered();
      peer.reader.consume(peer.reader.buffered().size());
    }
    EXPECT_TRUE(all.starts_with("HTTP/1.1 503 ")) << all;
    EXPECT_TRUE(all.ends_with("now")) << all;
    peer.writer.close();
    a.gate.set();
    EXPECT_EQ(co_await first, "200 1");
  });
}

TEST_P(Overload, AClientThatGoesWhileItWaitsBeginsNothing) {
  simulate([]() -> h::task<> {
    busy_app a;
    http::test_client c(a.app, limited(1, 10));
    h::task<> starting = c.start();
    co_await starting;
    auto first = h::create_task(work(c, "1"));
    co_await h::sleep(1ms);
    h::connection peer = c.connect();
    peer.writer.write("POST /work/2 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    co_await h::sleep(1ms);
    EXPECT_EQ(c.stats().waiting, 1u);
    peer.writer.abort();
    co_await h::sleep(2s);  // the watch looks every half second
    EXPECT_EQ(c.stats().waiting, 0u);
    a.gate.set();
    EXPECT_EQ(co_await first, "200 1");
    EXPECT_EQ(a.begun, "1");
  });
}

TEST_P(Overload, AnAnswerThatStreamsTakesNobodysPlace) {
  simulate([]() -> h::task<> {
    busy_app a;
    a.gate.set();
    http::test_client c(a.app, limited(1, 0));
    h::task<> starting = c.start();
    co_await starting;
    auto streaming = h::create_task(got(c, "/stream"));
    co_await h::sleep(100ms);
    EXPECT_FALSE(streaming.done());
    EXPECT_EQ(co_await work(c, "1"), "200 1");
    EXPECT_EQ(co_await streaming, "200 xxxxx");
  });
}

TEST_P(Overload, MiddlewaresSeeNothingOfWhatIsRefused) {
  simulate([]() -> h::task<> {
    busy_app a;
    int seen = 0;
    a.app.use([&seen](http::request& r, http::next go_on) -> h::task<http::response> {
      ++seen;
      h::task<http::response> work = go_on(r);
      http::response answer = co_await work;
      co_return answer;
    });
    http::test_client c(a.app, limited(1, 0));
    h::task<> starting = c.start();
    co_await starting;
    auto first = h::create_task(work(c, "1"));
    co_await h::sleep(1ms);
    const std::string refused = co_await work(c, "2");
    EXPECT_TRUE(refused.starts_with("503 ")) << refused;
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(co_await got(c, "/probe"), "200 probed");
    a.gate.set();
    EXPECT_EQ(co_await first, "200 1");
  });
}

TEST(OverloadOptions, AreCheckedWhenTheServerStarts) {
  h::options one;
  one.loops = 1;
  h::run(
      []() -> h::task<> {
        http::server_options o;
        o.retry_after = -1s;
        http::test_client c(http::router(), o);
        bool refused = false;
        try {
          h::task<> starting = c.start();
          co_await starting;
        } catch (const h::bad_value&) { refused = true; }
        EXPECT_TRUE(refused);
      }(),
      one);
}

}  // namespace
