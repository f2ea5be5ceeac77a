// SPDX-License-Identifier: MIT
#include "conformance.h"
#include "io_cases.h"

#include <atomic>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace conformance;

CASES(DBG);

void busy(h::duration d) {
  const auto end = h::clock::now() + d;
  while (h::clock::now() < end) {}
}

struct hogging_callback {
  std::atomic<bool>* done;
  void operator()() const {
    busy(20ms);
    *done = true;
  }
};

h::task<> hogging() {
  co_await h::yield_now();
  busy(20ms);
  co_await h::yield_now();
}

TEST_P(DBG, DBG_01_AStepThatTakesTooLongIsNamedWithItsTimeInDebugModeOnly) {
  for (const bool debug : {true, false}) {
    const auto before = report_count();
    auto o = with();
    o.debug = debug;
    o.slow_callback = 10ms;
    int line = 0;
    h::runtime rt(o);
    rt.run([](int& made) -> h::task<> {
      auto work = hogging();
      made = __LINE__ + 1;
      auto t = h::create_task(std::move(work), h::task_options{.name = "the hog"});
      co_await t;
      std::atomic<bool> done{false};
      const hogging_callback slow{&done};
      h::current_loop().call_soon(slow);
      co_await until([&] { return done.load(); });
    }(line));
    rt.close();
    bool task_seen = false, callback_seen = false;
    auto all = reports();
    for (std::size_t i = before; i < all.size(); ++i) {
      const auto& r = all[i];
      if (!r.took) continue;
      HOLDS(*r.took > 10ms);
      if (r.task == "the hog" &&
          *r.took >= 20ms) {  // other steps may be slow too, on a busy machine
        task_seen = true;
        HOLDS(r.origin.valid());
        EQUAL(r.made.line(), static_cast<unsigned>(line));
        HOLDS(r.message.find(" s,") != std::string::npos);
      }
      if (r.message.find("hogging_callback") != std::string::npos) callback_seen = true;
    }
    EQUAL(task_seen, debug);
    EQUAL(callback_seen, debug);
    if (!debug) EQUAL(all.size(), before);
  }
}

TEST_P(DBG, DBG_03_TheArgumentBeatsTheEnvironmentAndTheSetterActsAtOnce) {
  const char* kept = std::getenv("HEDDLE_DEBUG");
  const std::optional<std::string> old = kept ? std::optional<std::string>(kept) : std::nullopt;
  const auto flag = [this](std::optional<bool> argument) {
    auto o = with();
    o.debug = argument;
    return h::runtime(o).debug();
  };
  ::setenv("HEDDLE_DEBUG", "1", 1);
  HOLDS(flag(std::nullopt));
  HOLDS(!flag(false));
  HOLDS(flag(true));
  ::setenv("HEDDLE_DEBUG", "0", 1);
  HOLDS(!flag(std::nullopt));
  HOLDS(flag(true));
  ::unsetenv("HEDDLE_DEBUG");
  HOLDS(!flag(std::nullopt));
  HOLDS(flag(true));
  if (old) ::setenv("HEDDLE_DEBUG", old->c_str(), 1);

  auto o = with();
  o.debug = false;
  o.slow_callback = 5ms;
  h::runtime rt(o);
  rt.run([](h::runtime& r) -> h::task<> {
    HOLDS(!r.debug());
    r.set_debug(true);
    HOLDS(r.debug());
    auto t = h::create_task({.name = "slow"}, []() -> h::task<> {
      busy(10ms);
      co_return;
    });
    co_await t;
    r.set_debug(false);
    HOLDS(!r.debug());
    auto u = h::create_task({.name = "slow too"}, []() -> h::task<> {
      busy(10ms);
      co_return;
    });
    co_await u;
  }(rt));
  rt.close();
  int slow = 0, slow_too = 0;
  for (const auto& r : reports()) {
    slow += r.task == "slow" ? 1 : 0;
    slow_too += r.task == "slow too" ? 1 : 0;
  }
  EQUAL(slow, 1);
  EQUAL(slow_too, 0);
}

// A runtime's destructor is its close, so there is nothing to warn of where one is destroyed; what
// it held is given back.
TEST_P(DBG, DBG_06_WhatIsDestroyedUnclosedIsToldOnceAndFreed) {
  options.debug = true;
  run([]() -> h::task<> { co_return; });  // what is opened once for all is open now
  const auto before = open_descriptors();
  {
    h::runtime rt(with());
    rt.run([]() -> h::task<> {
      auto e = co_await connect_ends();
      { const h::stream_writer gone = std::move(e.client.writer); }
      (void)co_await e.server.reader.read();
      e.server.writer.close();
    }());
  }
  EQUAL(report_count(), 1u);
  EQUAL(open_descriptors(), before);
}

}  // namespace
