// SPDX-License-Identifier: MIT
// HTTP-SRV-CNX: connections of a server with sockets. A full server makes clients wait, an idle
// connection ends while its next request is under way, and a handler keeps its loop busy.
#include "../io/reactor_cases.h"
#include "app.h"

#include <heddle/io/http/server.h>
#include <heddle/io/stream.h>

#include <string>

namespace {

using namespace conformance;

REACTOR_CASES(HTTP_SRV_CNX_LOOPS);

std::string get(std::string_view path) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n";
}

h::task<h::connection> connect_to(const http::server& s) {
  auto connecting = h::open_connection("127.0.0.1", s.port());
  h::connection c = co_await std::move(connecting);
  co_return c;
}

TEST_P(HTTP_SRV_CNX_LOOPS, HTTP_SRV_CNX_07_OneConnectionTooManyMayWaitForItsTurn) {
  run([]() -> h::task<> {
    http::server_options o;
    o.max_connections = 1;
    o.wait_when_full = true;
    http::server s(o);
    std::atomic<int> asked = 0;
    s.get("/", [&](http::request&) {
      ++asked;
      return http::response::text("hello");
    });
    auto starting = s.start("127.0.0.1", 0);
    co_await starting;
    h::connection first = co_await connect_to(s);
    first.writer.write(get("/"));
    const std::string one = co_await read_until(first, "hello");
    HOLDS(one.ends_with("hello"));
    h::connection second = co_await connect_to(s);
    second.writer.write(get("/"));
    for (int i = 0; i < 100; ++i) co_await h::yield_now();
    co_await h::sleep(5ms);
    EQUAL(asked.load(), 1);
    EQUAL(s.stats().connections, 1u);
    first.writer.close();
    const std::string other = co_await read_until(second, "hello");
    HOLDS(other.ends_with("hello"));
    EQUAL(s.stats().shed, 0u);
    second.writer.close();
    auto stopping = s.stop();
    co_await stopping;
  });
}

/// Two requests on one connection; the second one comes when the server is about to close it.
/// Yields how the second one ended: its answer, "" or the reset.
h::task<std::string> ask_late(const http::server& s, h::duration pause) {
  h::connection c = co_await connect_to(s);
  c.writer.write(get("/first"));
  std::string all;
  try {
    all = co_await read_until(c, "first");
  } catch (const std::system_error&) {}  // on a slow machine it was idle for too long already
  if (all.ends_with("first")) {
    co_await h::sleep(pause);
    c.writer.write(get("/second"));
  }
  all = co_await read_to_end(c);
  c.writer.close();
  co_return all;
}

TEST_P(HTTP_SRV_CNX_LOOPS, HTTP_SRV_CNX_08_ALateRequestIsAnsweredOrWasNeverAccepted) {
  run([]() -> h::task<> {
    http::server_options o;
    o.idle_timeout = 2ms;
    http::server s(o);
    std::atomic<int> handled = 0;
    s.get("/first", says("first"));
    s.get("/second", [&](http::request&) {
      ++handled;
      return http::response::text("second");
    });
    auto starting = s.start("127.0.0.1", 0);
    co_await starting;
    int answered = 0;
    for (int i = 0; i < rounds(60); ++i) {
      const h::duration pause = std::chrono::microseconds(1500 + 20 * i);
      const std::string all = co_await ask_late(s, pause);
      const bool whole = all.ends_with("second");
      answered += whole ? 1 : 0;
      HOLDS(whole || all.find("HTTP/") == std::string::npos) << all;  // all of it or nothing
    }
    auto stopping = s.stop();
    co_await stopping;
    EQUAL(answered, handled.load());
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_CNX_LOOPS, HTTP_SRV_CNX_09_AHandlerThatSpinsHoldsUpItsOwnLoopAlone) {
  if (one_loop()) {  // there is nobody else
    HOLDS(loops() == 1);
    return;
  }
  run([]() -> h::task<> {
    http::server s;
    std::atomic<bool> spins = false;
    std::atomic<bool> served = false;
    std::atomic<bool> in_time = false;
    s.get("/spin", [&](http::request&) {
      spins = true;
      const auto limit = h::clock::now() + 20s;
      while (!served && h::clock::now() < limit) {}
      in_time = served.load();
      return http::response::text("spun");
    });
    s.get("/", says("hello"));
    auto starting = s.start("127.0.0.1", 0);
    co_await starting;
    std::vector<h::connection> others;
    for (int i = 0; i < 4; ++i) others.push_back(co_await connect_to(s));
    h::connection hog = co_await connect_to(s);
    hog.writer.write(get("/spin"));
    co_await until([&] { return spins.load(); });
    others.push_back(co_await connect_to(s));  // new ones are served as well
    for (auto& c : others) {
      c.writer.write(get("/"));
      const std::string all = co_await read_until(c, "hello");
      HOLDS(all.ends_with("hello"));
    }
    served = true;
    const std::string all = co_await read_until(hog, "spun");
    HOLDS(all.ends_with("spun"));
    HOLDS(in_time.load());
    auto stopping = s.stop();
    co_await stopping;
  });
}

}  // namespace
