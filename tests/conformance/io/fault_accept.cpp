// SPDX-License-Identifier: MIT
// Accepting while the kernel refuses: the server goes on, and never spins.
#include "fault_cases.h"

namespace {

using namespace conformance;

REACTOR_CASES(IO_FAULT_ACCEPT);

using milliseconds = std::chrono::milliseconds;

/// How often `listeners` may try within `time`, if each pauses at least for `pause` in the end and
/// for less only `early` times.
int most_tries(unsigned listeners, h::duration time, milliseconds pause, int early) {
  const auto pauses = static_cast<int>(time / pause);
  return static_cast<int>(listeners) * (early + 1 + pauses);
}

h::task<> starves(unsigned loops) {
  auto s = co_await h::start_server(serve_echo, "127.0.0.1", 0);
  auto old = co_await h::open_connection("127.0.0.1", s.port());
  EQUAL(co_await talk(old, "before"), "before\n");
  const auto began = h::clock::now();
  std::vector<raw_peer> waiting;
  {
    const injected want({.where = call::accept, .code = EMFILE, .times = -1});
    for (int i = 0; i < 5; ++i) waiting.emplace_back(s.addresses().front());
    for (const auto& w : waiting) HOLDS(w.connected());
    co_await until([&] { return want.met() > 0; });
    for (int i = 0; i < 20; ++i) {
      EQUAL(co_await talk(old, "meanwhile"), "meanwhile\n");
      co_await h::sleep(5ms);
    }
    // Pauses of 5, 10, 20, 40, 80, 80, ... ms.
    HOLDS(want.met() <= most_tries(loops, h::clock::now() - began, 80ms, 5));
    HOLDS(s.connections() == 1);
  }
  for (const auto& w : waiting) {
    w.send("now\n");
    w.end_output();
    EQUAL(co_await all_that_came(w), "now\n");
  }
  EQUAL(co_await talk(old, "after"), "after\n");
  old.writer.close();
  s.close();
  co_await s.wait_closed();
}

TEST_P(IO_FAULT_ACCEPT, IO_FAULT_01_WithoutDescriptorsLiveConnectionsGoOnAndGuestsWait) {
  const auto before = open_ends();
  run(starves, loops());
  // Each server tells it once. A listener that was held for a second on its way from a refusal may
  // tell it again.
  HOLDS(report_count() >= reactors().size());
  HOLDS(report_count() <= reactors().size() * (1 + loops()));
  for (const auto& r : reports())
    EQUAL(r.message, "accepting pauses until descriptors or memory are free");
  EQUAL(open_ends(), before);
}

h::task<h::server> start_one_listener() {
  h::server_options o;
  o.reuse_port = false;
  return h::start_server(serve_echo, "127.0.0.1", 0, o);
}

h::task<> passes_over(std::vector<int> codes) {
  auto s = co_await start_one_listener();
  for (const int code : codes) {
    const injected once({.where = call::accept, .code = code});
    EQUAL(co_await ask(s.port(), "served"), "served\n");
    EQUAL(once.met(), 1);
  }
  HOLDS(s.is_serving());
}

TEST_P(IO_FAULT_ACCEPT, IO_FAULT_02_AnErrorOfOneGuestIsToldAndTheNextOneIsServed) {
  const std::vector<int> codes{ECONNABORTED, EPERM, ENETDOWN, EPROTO, EHOSTUNREACH};
  run(passes_over, codes);
  EQUAL(report_count(), codes.size() * reactors().size());
  for (const auto& r : reports())
    EQUAL(r.message, "a connection was dropped while it was accepted");
}

TEST_P(IO_FAULT_ACCEPT, IO_FAULT_02_AnErrorThatStaysMakesAcceptingPause) {
  run([]() -> h::task<> {
    auto s = co_await start_one_listener();
    const auto began = h::clock::now();
    std::vector<raw_peer> waiting;
    {
      const injected always({.where = call::accept, .code = EPERM, .times = -1});
      for (int i = 0; i < 3; ++i) waiting.emplace_back(s.addresses().front());
      co_await until([&] { return always.met() > 1; });
      co_await h::sleep(100ms);
      HOLDS(always.met() <= most_tries(1, h::clock::now() - began, 1000ms, 2));
    }
    for (const auto& w : waiting) {
      w.send("now\n");
      w.end_output();
    }
    for (const auto& w : waiting) EQUAL(co_await all_that_came(w), "now\n");
    HOLDS(s.is_serving());
  });
}

/// A server that closes takes in what waits. Errors of some guests do not cost the others.
h::task<> closes_amid_errors(std::vector<int> codes) {
  for (const int code : codes) {
    auto s = co_await start_one_listener();
    std::vector<raw_peer> waiting;
    {
      const injected two({.where = call::accept, .code = code, .times = 2});
      for (int i = 0; i < 5; ++i) waiting.emplace_back(s.addresses().front());
      s.close();
    }
    for (const auto& w : waiting) {
      w.send("now\n");
      w.end_output();
    }
    for (const auto& w : waiting) EQUAL(co_await all_that_came(w), "now\n");
    co_await s.wait_closed();
  }
}

TEST_P(IO_FAULT_ACCEPT, IO_FAULT_02_ACloseServesAllThatWaitAlsoAmidErrors) {
  const std::vector<int> codes{EINTR, ECONNABORTED, EPERM, ENETDOWN, EPROTO};
  run(closes_amid_errors, codes);
}

h::task<> closes_though_an_error_stays() {
  auto s = co_await start_one_listener();
  const raw_peer waiting(s.addresses().front());
  const injected always({.where = call::accept, .code = ENETDOWN, .times = -1});
  s.close();
  waiting.end_output();  // it may have been taken in before the error came
  co_await s.wait_closed();
}

TEST_P(IO_FAULT_ACCEPT, IO_FAULT_02_ACloseEndsAlsoWhenAnErrorStays) {
  run(closes_though_an_error_stays);
  HOLDS(report_count() <= 4 * reactors().size());
}

h::task<> interrupted_accepts() {
  auto s = co_await start_one_listener();
  const injected often({.where = call::accept, .code = EINTR, .times = 5});
  EQUAL(co_await ask(s.port(), "served"), "served\n");
  EQUAL(often.met(), 5);
}

TEST_P(IO_FAULT_ACCEPT, IO_FAULT_02_AnInterruptedAcceptIsNoError) {
  run(interrupted_accepts);
  EQUAL(report_count(), 0u);
}

}  // namespace
