// SPDX-License-Identifier: MIT
// HTTP-SRV-UNX and HTTP-SRV-SHD: where a server listens, and how a program that runs one ends.
#include "../io/reactor_cases.h"
#include "app.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/run_app.h>
#include <heddle/io/http/server.h>
#include <heddle/io/signal_set.h>

#include <csignal>
#include <filesystem>

namespace {

using namespace conformance;

REACTOR_CASES(HTTP_SRV_UNX);
REACTOR_CASES(HTTP_SRV_SHD);

constexpr const char* good_ask = "GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

http::router who() {
  http::router r;
  r.get("/who", [](http::request& q) { return "<" + q.remote() + "|" + q.host() + ">"; });
  return r;
}

h::task<std::string> talk(h::connection c, std::string text) {
  c.writer.write(text);
  std::string all = co_await read_to_end(c);
  co_return all;
}

TEST_P(HTTP_SRV_UNX, HTTP_SRV_UNX_01_AUnixSocketIsReplacedIfNobodyListensAndRemovedAtTheEnd) {
  run([]() -> h::task<> {
    const std::string path = fresh_path("http-site");
    const std::vector<http::site> at{http::site::unix_socket(path)};
    http::server s(who());
    auto starting = s.start(at);
    co_await starting;
    auto connecting = h::open_unix_connection(path);
    h::connection c = co_await std::move(connecting);
    const std::string all = co_await talk(std::move(c), good_ask);
    HOLDS(all.ends_with("<|h>"));
    http::server second(who());  // one that lives is not replaced
    const auto refused = co_await error_of(second.start(at));
    EQUAL(code_of(refused), EADDRINUSE);
    auto stopping = s.stop();
    co_await stopping;
    HOLDS(!std::filesystem::exists(path));
  });
}

TEST_P(HTTP_SRV_UNX, HTTP_SRV_UNX_02_SeveralSitesServeOneApplicationOrNone) {
  run([]() -> h::task<> {
    const std::string path = fresh_path("http-sites");
    std::vector<http::site> both{http::listen("127.0.0.1", 0), http::site::unix_socket(path)};
    http::server s(who());
    auto starting = s.start(both);
    co_await starting;
    auto connecting = h::open_connection("127.0.0.1", s.port());
    h::connection tcp = co_await std::move(connecting);
    const std::string by_tcp = co_await talk(std::move(tcp), good_ask);
    HOLDS(by_tcp.ends_with("<127.0.0.1|h>"));
    auto connecting_unix = h::open_unix_connection(path);
    h::connection local = co_await std::move(connecting_unix);
    const std::string by_unix = co_await talk(std::move(local), good_ask);
    HOLDS(by_unix.ends_with("<|h>"));
    EQUAL(s.addresses().size(), 2u);
    // The second site is taken: the first one does not stay open.
    const std::string other = fresh_path("http-other");
    std::vector<http::site> taken{http::site::unix_socket(other), http::site::unix_socket(path)};
    http::server none(who());
    std::string error;
    auto failing = none.start(taken);
    try {
      co_await failing;
    } catch (const std::system_error& e) { error = e.what(); }
    HOLDS(error.find(path) != std::string::npos);
    HOLDS(!none.is_serving());
    auto stopping = s.stop();
    co_await stopping;
    http::server empty(who());
    EQUAL(co_await ending(empty.start(std::vector<http::site>())), "BadValue");
  });
}

TEST_P(HTTP_SRV_SHD, HTTP_SRV_SHD_04_ASignalEndsTheProgramGently) {
  for (const int number : {SIGTERM, SIGINT}) {
    run(
        [](int signal) -> h::task<> {
          h::signal_set also{SIGTERM, SIGINT};  // a signal that comes late ends nothing
          std::atomic<bool> exited = false;
          http::router r = who();
          r.on_cleanup([&exited]() -> h::task<> {
            exited = true;
            co_return;
          });
          http::run_options o;
          o.listen = {http::listen("127.0.0.1", 0)};
          o.on_started = [signal](http::server& s) {
            HOLDS(s.port() != 0);
            ::kill(::getpid(), signal);
          };
          auto running = http::run_app(r, o);
          const int status = co_await running;
          EQUAL(status, 0);
          HOLDS(exited.load());
        },
        number);
  }
}

TEST_P(HTTP_SRV_SHD, HTTP_SRV_SHD_04_ASecondSignalEndsTheGrace) {
  run([]() -> h::task<> {
    h::signal_set also{SIGTERM, SIGINT};  // a signal that comes late ends nothing
    std::atomic<bool> begun = false;
    std::atomic<bool> cancelled = false;
    std::atomic<int> port = 0;
    http::router r;
    r.post("/stuck", [&](http::request&) -> h::task<http::response> {
      begun = true;
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {
        cancelled = true;
        throw;
      }
      co_return http::response();
    });
    http::run_options o;
    o.listen = {http::listen("127.0.0.1", 0)};
    o.grace = 1h;
    o.on_started = [&port](http::server& s) { port = s.port(); };
    auto running = h::create_task(http::run_app(r, o));
    co_await until([&] { return port != 0; });
    auto connecting = h::open_connection("127.0.0.1", static_cast<std::uint16_t>(port.load()));
    h::connection c = co_await std::move(connecting);
    c.writer.write("POST /stuck HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    co_await until([&] { return begun.load(); });
    // The first signal begins the stop, the second one ends the grace. Two that come at once may
    // count as one, so the second one is sent again.
    ::kill(::getpid(), SIGTERM);
    for (int i = 0; i < 10'000 && !running.done(); ++i) {
      co_await h::sleep(1ms);
      if (!running.done()) ::kill(::getpid(), SIGINT);
    }
    EQUAL(co_await running, 0);
    HOLDS(cancelled.load());
  });
}

}  // namespace
