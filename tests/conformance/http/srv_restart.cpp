// SPDX-License-Identifier: MIT
// HTTP-SRV-SHD with sockets: who is told that the server stops, and how another server takes over.
#include "../io/reactor_cases.h"
#include "app.h"
#include "ws_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/events.h>
#include <heddle/io/http/health.h>
#include <heddle/io/http/server.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sync/event.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace conformance;

REACTOR_CASES(HTTP_SRV_SHD_TOLD);
REACTOR_CASES(HTTP_SRV_SHD_RESTART);

const std::string here = "127.0.0.1";

std::string get(std::string_view path, std::string_view fields = {}) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}

h::task<h::connection> connect_to(std::uint16_t port) {
  auto connecting = h::open_connection(here, port);
  h::connection c = co_await std::move(connecting);
  co_return c;
}

/// The answer to a request on a connection of its own.
h::task<std::string> ask_once(std::uint16_t port, std::string path) {
  h::connection c = co_await connect_to(port);
  c.writer.write(get(path, "Connection: close\r\n"));
  std::string all = co_await read_to_end(c);
  c.writer.close();
  co_return all;
}

h::async_generator<http::sse_event> rare_events() {
  for (;;) {
    http::sse_event e;
    e.data = "tick";
    co_yield e;
    co_await h::sleep(1h);
  }
}

/// A server with all that may last.
struct lasting_site {
  lasting_site() {
    http::ws_options patient;  // a case may stand still for long on a busy machine
    patient.heartbeat = std::nullopt;
    patient.close_timeout = 1h;
    const auto listen = [](http::websocket& ws, http::request&) -> h::task<> {
      for (;;) {
        auto receiving = ws.receive();
        const auto message = co_await receiving;
        if (!message) break;
      }
    };
    server.websocket("/ws", listen, patient);
    server.get("/events", [](http::request&) { return http::response::events(rare_events()); });
    server.get("/busy", [this](http::request&) -> h::task<http::response> {
      begun = true;
      co_await gate.wait();
      co_return http::response::text("done");
    });
  }
  http::server server;
  h::event gate;
  std::atomic<bool> begun = false;
};

TEST_P(HTTP_SRV_SHD_TOLD, HTTP_SRV_SHD_03_SocketsAndEventsAreToldFirstAndThenWaitedFor) {
  run([]() -> h::task<> {
    lasting_site s;
    auto starting = s.server.start(here, 0);
    co_await starting;
    h::connection ws = co_await connect_to(s.server.port());
    ws.writer.write(get("/ws",
                        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
                        "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    const std::string head = co_await read_until(ws, "\r\n\r\n");
    HOLDS(head.starts_with("HTTP/1.1 101 "));
    h::connection events = co_await connect_to(s.server.port());
    events.writer.write(get("/events"));
    (void)co_await read_until(events, "data: tick\n");
    h::connection busy = co_await connect_to(s.server.port());
    busy.writer.write(get("/busy"));
    co_await until([&] { return s.begun.load(); });

    auto stopping = h::create_task(s.server.stop(1h));
    // Both are told although another handler is at work still.
    const std::string going_away = from_server(fin | close_op, close_body(1001));
    const std::string told = co_await read_until(ws, going_away);
    HOLDS(told.ends_with(going_away));
    const std::string rest = co_await read_to_end(events);
    HOLDS(rest.ends_with("0\r\n\r\n")) << rest;
    HOLDS(!stopping.done());
    s.gate.set();
    const std::string done = co_await read_to_end(busy);
    HOLDS(done.ends_with("done"));
    busy.writer.close();
    events.writer.close();
    // The WebSocket has until the end of the grace to answer.
    for (int i = 0; i < 100; ++i) co_await h::yield_now();
    HOLDS(!stopping.done());
    ws.writer.write(from_client(fin | close_op, close_body(1001)));
    const std::string nothing = co_await read_to_end(ws);
    HOLDS(nothing.empty() || nothing.front() == '(') << nothing;
    ws.writer.close();
    co_await stopping;
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_SHD_TOLD, HTTP_SRV_SHD_02_TheConnectionOfAHandlerThatTakesTooLongIsReset) {
  run([]() -> h::task<> {
    http::server_options o;
    o.cleanup_time = 5ms;
    http::server s(o);
    h::event reset;
    std::atomic<bool> begun = false;
    std::atomic<bool> ended = false;
    s.post("/", [&](http::request&) -> h::task<http::response> {
      begun = true;
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {}
      co_await reset.wait();  // does not end before its client was reset
      ended = true;
      co_return http::response::text("too late");
    });
    auto starting = s.start(here, 0);
    co_await starting;
    h::connection c = co_await connect_to(s.port());
    c.writer.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    co_await until([&] { return begun.load(); });
    auto stopping = h::create_task(s.stop(5ms));
    const std::string all = co_await read_to_end(c);
    HOLDS(all.starts_with("(")) << all;
    HOLDS(!stopping.done());
    reset.set();
    co_await stopping;
    HOLDS(ended.load());
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_SHD_TOLD, HTTP_SRV_SHD_06_WithANoticeNobodyIsRefusedBeforeTheProbesHaveSeenIt) {
  run([]() -> h::task<> {
    http::server_options o;
    o.stop_notice = 1h;
    http::server s(o);
    s.get("/live", http::liveness()).get("/ready", http::readiness()).get("/", says("hello"));
    auto starting = s.start(here, 0);
    co_await starting;
    const auto port = s.port();
    const std::string before = co_await ask_once(port, "/ready");
    HOLDS(before.starts_with("HTTP/1.1 200 "));
    auto stopping = h::create_task(s.stop(1h));
    for (bool told = false; !told;) {
      const std::string ready = co_await ask_once(port, "/ready");
      told = ready.starts_with("HTTP/1.1 503 ");
    }
    const std::string live = co_await ask_once(port, "/live");
    HOLDS(live.starts_with("HTTP/1.1 200 "));
    const std::string other = co_await ask_once(port, "/");
    HOLDS(other.ends_with("hello"));
    HOLDS(!stopping.done());
    s.end_grace();
    co_await stopping;
    HOLDS(!s.is_serving());
  });
}

// --- taking over ---

/// Clients that ask again and again, and count who answers.
struct load {
  std::uint16_t port = 0;
  std::atomic<bool> stop{false};
  std::atomic<bool> pause{false};
  std::atomic<int> under_way{0};
  std::atomic<int> failed{0};
  std::atomic<int> by_old{0};
  std::atomic<int> by_new{0};

  h::task<> visit() {
    try {
      const std::string all = co_await ask_once(port, "/");
      if (all.ends_with("old"))
        ++by_old;
      else if (all.ends_with("new"))
        ++by_new;
      else
        ++failed;
    } catch (const std::system_error&) { ++failed; }
  }
  h::task<> run() {
    while (!stop) {
      ++under_way;
      if (!pause) co_await visit();
      --under_way;
      co_await h::sleep(100us);
    }
  }
};

std::vector<h::task_handle<void>> start_load(load& clients) {
  std::vector<h::task_handle<void>> all;
  for (int i = 0; i < 4; ++i) all.push_back(h::create_task(clients.run()));
  return all;
}

http::router naming(std::string name) {
  http::router r;
  r.get("/", says(std::move(name)));
  return r;
}

/// Stops the old server while no request is under way: a client that connects, and does not ask at
/// once, is closed by a server that stops.
h::task<> stop_quietly(http::server& old_one, load& clients) {
  clients.pause = true;
  co_await until([&] { return clients.under_way == 0; });
  auto stopping = old_one.stop();
  co_await stopping;
  clients.pause = false;
}

TEST_P(HTTP_SRV_SHD_RESTART, HTTP_SRV_SHD_05_AnotherServerTakesOverThePassedSocketsUnderLoad) {
  run([]() -> h::task<> {
    http::server old_one(naming("old"));
    auto starting = old_one.start(here, 0);
    co_await starting;
    load clients;
    clients.port = old_one.port();
    HOLDS(clients.port != 0);
    auto all = start_load(clients);
    co_await until([&] { return clients.by_old >= 10; });
    std::vector<int> passed;  // as another process gets them
    for (const int s : old_one.sockets()) passed.push_back(::fcntl(s, F_DUPFD_CLOEXEC, 0));
    http::server new_one(naming("new"));
    auto taking = new_one.start(http::site::given(passed));
    co_await taking;
    EQUAL(new_one.port(), clients.port);
    old_one.hand_over();
    HOLDS(!old_one.is_serving());
    HOLDS(old_one.sockets().empty());
    const int so_far = clients.by_new;
    co_await until([&] { return clients.by_new >= so_far + 20; });
    co_await stop_quietly(old_one, clients);
    const int later = clients.by_new;
    co_await until([&] { return clients.by_new >= later + 20; });
    clients.stop = true;
    for (auto& one : all) co_await one;
    EQUAL(clients.failed.load(), 0);
    auto stopping = new_one.stop();
    co_await stopping;
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_SHD_RESTART, HTTP_SRV_SHD_05_TwoServersShareAPortWhileOneStops) {
  run([]() -> h::task<> {
    h::server_options shared;
    shared.share_port = true;
    http::site at = http::listen(here, 0);
    at.options(shared);
    http::server old_one(naming("old"));
    auto starting = old_one.start(at);
    co_await starting;
    load clients;
    clients.port = old_one.port();
    auto all = start_load(clients);
    co_await until([&] { return clients.by_old >= 10; });
    http::site same = http::listen(here, clients.port);
    same.options(shared);
    http::server new_one(naming("new"));
    auto beside = new_one.start(same);
    co_await beside;
    co_await until([&] { return clients.by_new >= 10; });
    co_await stop_quietly(old_one, clients);
    const int so_far = clients.by_new;
    co_await until([&] { return clients.by_new >= so_far + 20; });
    clients.stop = true;
    for (auto& one : all) co_await one;
    EQUAL(clients.failed.load(), 0);
    auto stopping = new_one.stop();
    co_await stopping;
    HOLDS(http::given_sites().empty());
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_SHD_RESTART, HTTP_SRV_SHD_05_ASitePassesOnWhatServersOfStreamsCanBeTold) {
  run([]() -> h::task<> {
    const std::string path = fresh_path("http-mode");
    h::server_options o;
    o.socket_mode = 0600;
    o.proxy_header = true;
    http::site at = http::site::unix_socket(path);
    at.options(o);
    http::router r;
    r.get("/who", [](http::request& q) { return http::response::text("<" + q.remote() + ">"); });
    http::server s(r);
    auto starting = s.start(at);
    co_await starting;
    struct stat seen{};
    EQUAL(::stat(path.c_str(), &seen), 0);
    EQUAL(seen.st_mode & 0777u, 0600u);
    auto connecting = h::open_unix_connection(path);
    h::connection c = co_await std::move(connecting);
    c.writer.write("PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n" +
                   get("/who", "Connection: close\r\n"));
    const std::string all = co_await read_to_end(c);
    HOLDS(all.ends_with("<192.0.2.7>")) << all;
    auto stopping = s.stop();
    co_await stopping;
    HOLDS(!std::filesystem::exists(path));
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
