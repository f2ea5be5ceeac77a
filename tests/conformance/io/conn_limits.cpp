// SPDX-License-Identifier: MIT
// Servers with limits: how many connections, how long each may be silent, and how long it may live.
// And the spread of clients over loops.
#include "reactor_cases.h"

#include <heddle/sync/semaphore.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN_LIMITS);

const std::string here = "127.0.0.1";

/// How many handlers run now, and ran at most.
struct crowd {
  std::atomic<int> now{0};
  std::atomic<int> most{0};

  void enter() {
    const int n = ++now;
    int seen = most.load();
    while (seen < n && !most.compare_exchange_weak(seen, n)) {}
  }
};

/// Echoes; counts itself as long as it runs.
auto counting(crowd& all) {
  return [&all](h::stream_reader r, h::stream_writer w) -> h::task<> {
    struct one {
      crowd& in;
      explicit one(crowd& c) : in(c) { in.enter(); }
      ~one() { --in.now; }
    } const counted(all);
    auto work = echo(std::move(r), std::move(w));
    co_await work;
  };
}

h::task<h::connection> connect_to(const h::address& at) {
  if (!at.is_ip()) return h::open_unix_connection(at.host());
  return h::open_connection(at.host(), at.port());
}

/// Asks for an answer, tells that it has one, and stays until it may go.
h::task<> visit(h::address at, std::atomic<int>& answered, h::semaphore& may_go) {
  h::connection c = co_await connect_to(at);
  c.writer.write("hello\n");
  const std::string line = co_await c.reader.read_line();
  EQUAL(line, "hello\n");
  ++answered;
  co_await may_go.acquire();
  c.writer.close();
}

h::task<> serve_in_turns(h::server& s, crowd& all, int most, int clients) {
  std::atomic<int> answered{0};
  h::semaphore may_go(0);
  std::vector<h::task_handle<void>> visits;
  for (int i = 0; i < clients; ++i)
    visits.push_back(h::create_task(visit(s.addresses().front(), answered, may_go)));
  for (int gone = 0; gone < clients; ++gone) {
    const int expected = std::min(most + gone, clients);
    co_await until([&] { return answered.load() >= expected; });
    EQUAL(answered.load(), expected);  // a further one only in a place that was given back
    HOLDS(s.connections() <= static_cast<std::size_t>(most));
    may_go.release();
  }
  for (auto& v : visits) co_await v;
  EQUAL(all.most.load(), most);
}

TEST_P(IO_CONN_LIMITS, IO_CONN_17_AtMostSoManyAreServedAndTheOthersWait) {
  run([]() -> h::task<> {
    crowd all;
    h::server_options o;
    o.max_connections = 3;
    auto starting = h::start_server(counting(all), here, 0, o);
    h::server s = co_await starting;
    co_await serve_in_turns(s, all, 3, 12);
    EQUAL(s.stats().accepted, 12u);
    EQUAL(s.stats().refused, 0u);
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN_LIMITS, IO_CONN_17_AUnixServerHasTheSameLimit) {
  run([]() -> h::task<> {
    crowd all;
    h::server_options o;
    o.max_connections = 1;
    auto starting = h::start_unix_server(counting(all), fresh_path("places"), o);
    h::server s = co_await starting;
    co_await serve_in_turns(s, all, 1, 4);
    s.close();
    co_await s.wait_closed();
  });
}

/// "served", or "refused".
h::task<std::string> try_to_visit(h::address at) {
  std::string how = "refused";
  try {
    h::connection c = co_await connect_to(at);
    c.writer.write("hello\n");
    const std::string line = co_await c.reader.read_line();
    if (line == "hello\n") how = "served";
    c.writer.close();
  } catch (const std::system_error&) {
    // It was reset, at one of the steps.
  }
  co_return how;
}

TEST_P(IO_CONN_LIMITS, IO_CONN_17_TheOthersAreRefusedIfAsked) {
  run([]() -> h::task<> {
    crowd all;
    h::server_options o;
    o.max_connections = 2;
    o.if_full = h::when_full::refuse;
    auto starting = h::start_server(counting(all), here, 0, o);
    h::server s = co_await starting;
    const h::address at = s.addresses().front();
    std::atomic<int> answered{0};
    h::semaphore may_go(0);
    std::vector<h::task_handle<void>> visits;
    for (int i = 0; i < 2; ++i) {
      visits.push_back(h::create_task(visit(at, answered, may_go)));
      co_await until([&] { return answered.load() == i + 1; });
    }
    for (int i = 0; i < 5; ++i) {
      const std::string third = co_await try_to_visit(at);
      EQUAL(third, "refused");
    }
    EQUAL(s.stats().refused, 5u);
    may_go.release();
    for (bool served = false; !served;) {  // as soon as the place is given back
      const std::string how = co_await try_to_visit(at);
      served = how == "served";
    }
    may_go.release();
    for (auto& v : visits) co_await v;
    HOLDS(all.most.load() <= 2);
    s.close();
    co_await s.wait_closed();
  });
  HOLDS(report_count() >= reactors().size());  // once a second at the most
}

TEST_P(IO_CONN_LIMITS, IO_CONN_17_AClosedServerServesThoseThatWaitForAPlace) {
  run([]() -> h::task<> {
    crowd all;
    h::server_options o;
    o.max_connections = 1;
    auto starting = h::start_server(counting(all), here, 0, o);
    h::server s = co_await starting;
    const h::address at = s.addresses().front();
    std::vector<h::connection> clients;
    for (int i = 0; i < 5; ++i) {
      h::connection c = co_await connect_to(at);
      c.writer.write("hello\n");
      clients.push_back(std::move(c));
      if (i == 0) co_await until([&] { return all.now.load() == 1; });
    }
    s.close();
    std::size_t served = 0;
    while (served < clients.size()) {
      // Only the first is known to have the place; the order of the others is the kernel's.
      for (auto& c : clients) {
        if (!c.writer.valid()) continue;
        const bool answers = served == 0 || !c.reader.quiet();
        if (!answers) continue;
        const std::string line = co_await c.reader.read_line();
        EQUAL(line, "hello\n");
        ++served;
        h::connection gone = std::move(c);
        gone.writer.close();
      }
      co_await h::sleep(100us);
    }
    co_await s.wait_closed();
    EQUAL(all.most.load(), 1);
  });
}

}  // namespace
