// SPDX-License-Identifier: MIT
// The clocks of a request, and what their errors say.
#include "client_cases.h"

#include "../io/descriptor_count.h"

#include <heddle/core/errors.h>
#include <heddle/io/tls.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sync/event.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_TMO);

/// A server that takes connections, and sends `text` on each, but reads nothing.
h::task<h::server> start_mute(std::string text = "") {
  auto take = [text](h::connection c) -> h::task<> {
    c.writer.write(text);
    co_await h::sleep(1h);
  };
  return h::start_server(take, "127.0.0.1", 0);
}

h::task<> stop(h::server& s) {
  s.close();
  s.abort_clients();
  s.cancel_handlers();
  co_await s.wait_closed();
}

std::string url_of(const h::server& s, std::string_view path = "/") {
  return "http://127.0.0.1:" + std::to_string(s.port()) + std::string(path);
}

constexpr const char* half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_01_TheTotalTimeEndsASlowHeadBodyAndChain) {
  run([]() -> h::task<> {
    for (const char* text : {"", "HTTP/1.1 200", half}) {
      h::server s = co_await start_mute(text);
      http::session client;
      const auto whole = co_await error_of(client.at(url_of(s)).timeout(50ms).get());
      EQUAL(phase_of(whole), "total");
      HOLDS(is_a<h::timeout_error>(whole));
      EQUAL(client.open_connections(), 0u);
      co_await stop(s);
    }
    peer chain([](const http::request& r, int) { return moved(302, r.target); });
    co_await chain.start();
    http::session client;
    const auto endless =
        co_await error_of(client.at(chain.url("/")).redirects(1'000'000'000).timeout(50ms).get());
    EQUAL(phase_of(endless), "total");
    co_await chain.stop();
  });
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_01_TheTotalTimeEndsWhileABodyIsStreamed) {
  run([]() -> h::task<> {
    h::server s = co_await start_mute(half);
    http::session client;
    // The head may be late on a busy machine: then the request itself ends by this clock.
    const auto error = co_await error_of([](http::session& c, std::string url) -> h::task<> {
      auto asked = c.at(std::move(url));
      asked.timeout(50ms);
      auto r = co_await asked.open();
      const std::string some = co_await r.body.read_exactly(4);
      EQUAL(some, "half");
      (void)co_await r.body.read(1);
    }(client, url_of(s)));
    EQUAL(phase_of(error), "total");
    EQUAL(client.open_connections(), 0u);
    co_await stop(s);
  });
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_03_TheConnectClockHoldsForThePoolTheConnectionAndTls) {
  run([]() -> h::task<> {
    h::server s = co_await start_mute();
    http::session_options o;
    o.pool.limit = 1;
    http::session client(o);
    auto holder = h::create_task(client.get(url_of(s)));
    co_await until([&] { return client.open_connections() == 1; });
    http::timeouts t;
    t.connect = 50ms;
    auto full = client.at(url_of(s));
    const auto pool = co_await error_of(full.timeouts(t).get());
    EQUAL(phase_of(pool), "pool");
    holder.cancel();
    co_await until_done(holder);
    auto secure = client.at("https://127.0.0.1:" + std::to_string(s.port()) + "/");
    const auto tls = co_await error_of(secure.timeouts(t).get());
    EQUAL(phase_of(tls), "connect");
    HOLDS(what_of(tls).find("nothing of the request was sent") != std::string::npos);
    EQUAL(client.open_connections(), 0u);
    co_await stop(s);
  });
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_05_TheReadClockHoldsForTheHeadAndForEachPiece) {
  run([]() -> h::task<> {
    http::timeouts t;
    t.read = 50ms;
    for (const char* text : {"", half}) {
      h::server s = co_await start_mute(text);
      http::session client;
      auto asked = client.at(url_of(s));
      const auto error = co_await error_of(asked.timeouts(t).get());
      EQUAL(phase_of(error), "read");
      HOLDS(what_of(error).find("sent whole") != std::string::npos);
      co_await stop(s);
    }
  });
}

h::task<> in_four_pieces(h::connection c) {
  (void)co_await c.reader.read_until("\r\n\r\n");
  c.writer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
  for (const char* piece : {"a", "b", "c", "d"}) {
    co_await h::sleep(5ms);
    c.writer.write(piece);
  }
  (void)co_await c.reader.read(1);
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_05_PiecesInTimeMayTakeLongerTogether) {
  run([]() -> h::task<> {
    auto starting = h::start_server(in_four_pieces, "127.0.0.1", 0);
    h::server s = co_await starting;
    http::session client;
    auto asked = client.at(url_of(s));
    http::timeouts t;
    t.read = 20s;  // long enough for a busy machine: the point is that nothing is added up
    const auto r = co_await asked.timeouts(t).get();
    EQUAL(r.body, "abcd");
    co_await stop(s);
  });
}

h::async_generator<std::string> slow_pieces(h::event& gate) {
  co_yield std::string("one");
  co_await gate.wait();
  co_yield std::string("two");
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_06_TheReadClockBeginsWhenTheRequestIsWritten) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) { return ok(r.body); });
    co_await p.start();
    http::session client;
    h::event gate;
    auto asked = client.at(p.url("/"));
    http::timeouts t;
    t.read = 10s;
    asked.timeouts(t).body(http::upload(slow_pieces(gate)));
    auto work = h::create_task(asked.post());
    co_await until_waiting(work);
    gate.set();
    const auto& r = co_await work;
    EQUAL(r.body, "onetwo");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_08_TheErrorNamesItsClockAndHowFarTheRequestHadCome) {
  run([]() -> h::task<> {
    h::server s = co_await start_mute();
    http::session client;
    http::timeouts t;
    t.write = 50ms;
    auto upload = client.at(url_of(s));
    upload.timeouts(t).body(std::string(64 << 20, 'x'));
    const auto write = co_await error_of(upload.post());
    EQUAL(phase_of(write), "write");
    HOLDS(what_of(write).find("bytes of it were sent") != std::string::npos);
    const auto total = co_await error_of(client.at(url_of(s)).timeout(50ms).get());
    EQUAL(phase_of(total), "total");
    HOLDS(what_of(total).find(url_of(s)) != std::string::npos);
    co_await stop(s);
  });
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_09_TheRequestsOwnTotalWins) {
  run([]() -> h::task<> {
    h::server s = co_await start_mute();
    http::session_options o;
    o.timeout = 1h;
    http::session patient(o);
    const auto own = co_await error_of(patient.at(url_of(s)).timeout(50ms).get());
    EQUAL(phase_of(own), "total");
    o.timeout = 50ms;
    http::session hasty(o);
    const auto session = co_await error_of(hasty.get(url_of(s)));
    EQUAL(phase_of(session), "total");
    co_await stop(s);
    peer p([](const http::request&, int) { return ok("x"); });
    co_await p.start();
    const auto none = co_await hasty.at(p.url("/")).timeout(std::nullopt).get();
    EQUAL(none.body, "x");
    co_await p.stop();
  });
}

h::async_generator<std::string> endless(std::shared_ptr<void> counted) {
  while (counted) co_yield std::string(1 << 20, 'x');
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_10_ATimeOutLeavesNothingBehind) {
  run([]() -> h::task<> {
    h::server s = co_await start_mute();
    http::session client;
    std::atomic<int> gone{0};
    for (int i = 0; i < 3; ++i) {
      auto asked = client.at(url_of(s));
      asked.body(http::upload(endless(support::counts_when_gone(gone)))).timeout(30ms);
      const auto error = co_await error_of(asked.post());
      EQUAL(phase_of(error), "total");
      EQUAL(client.open_connections(), 0u);
    }
    co_await until([&] { return gone.load() == 3; });
    co_await stop(s);
  });
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_11_NoLimitIsRounded) {
  run([]() -> h::task<> {
    h::server s = co_await start_mute();
    http::session client;
    const auto begun = h::clock::now();
    const auto error = co_await error_of(client.at(url_of(s)).timeout(120ms).get());
    const auto took = h::clock::now() - begun;
    EQUAL(phase_of(error), "total");
    HOLDS(took >= 120ms);
    HOLDS(took < 10s);
    co_await stop(s);
  });
}

TEST_P(HTTP_CLI_TMO, HTTP_CLI_TMO_12_ALimitIsLongerThanZeroAndADripEndsByTheTotal) {
  run([]() -> h::task<> {
    http::session client;
    auto asked = client.at("http://localhost/");
    THROWS(h::bad_value, asked.timeout(0ms));
    THROWS(h::bad_value, asked.timeout(-1ms));
    http::timeouts t;
    t.read = 0ms;
    THROWS(h::bad_value, asked.timeouts(t));
    http::session_options o;
    o.timeouts.pool = -1s;
    THROWS(h::bad_value, http::session(o));
    auto drip = [](h::connection c) -> h::task<> {
      c.writer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
      while (!c.writer.is_closing()) {
        c.writer.write("x");
        co_await h::sleep(1ms);
      }
    };
    auto starting = h::start_server(drip, "127.0.0.1", 0);
    h::server s = co_await starting;
    auto slow = client.at(url_of(s));
    t.read = 10s;
    const auto error = co_await error_of(slow.timeouts(t).timeout(100ms).get());
    EQUAL(phase_of(error), "total");
    co_await stop(s);
  });
}

}  // namespace
}  // namespace conformance
