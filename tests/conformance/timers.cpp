// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/timers.h>

#include <atomic>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace conformance;
using support::timers_armed;

CASES(TIME);

TEST_P(TIME, TIME_01_ACallbackRunsOnceAndNotBeforeItsTime) {
  run([]() -> h::task<> {
    auto& l = h::current_loop();
    std::atomic<int> runs{0};
    std::atomic<std::int64_t> ran_at{0};
    const auto due = l.now() + 10ms;
    l.call_later(10ms, [&] {
      ran_at = l.now().time_since_epoch().count();
      ++runs;
    });
    co_await until([&] { return runs > 0; });
    HOLDS(ran_at >= due.time_since_epoch().count());
    co_await h::sleep(2ms);
    EQUAL(runs, 1);
  });
}

TEST_P(TIME, TIME_02_PastDeadlinesRunInTheirOrderWithoutWaiting) {
  run([]() -> h::task<> {
    journal log;
    auto& l = h::current_loop();
    l.call_soon([&] {
      l.call_later(-1s, [&] { log.add("a"); });
      l.call_later(-2s, [&] { log.add("b"); });
    });
    co_await until([&] { return log.lines().size() == 2; });
    if (one_loop())
      EQUAL(log.joined(), "b a");
    else
      EQUAL(log.lines().size(), 2u);
  });
}

TEST_P(TIME, TIME_05_AMillionCancelledTimersLeaveNothingAndTheFarOneFires) {
  h::runtime rt(with());
  rt.run([](h::runtime& r) -> h::task<> {
    std::atomic<bool> far{false};
    auto& l = r.loop(0);
    l.call_later(50ms, [&] { far = true; });
    const int blocks = rounds(100);
    std::size_t most = 0;
    for (int b = 0; b < blocks; ++b) {
      std::vector<h::callback_handle> handles;
      handles.reserve(10'000);
      for (int i = 0; i < 10'000; ++i) handles.push_back(l.call_later(20ms, [] {}));
      for (auto& handle : handles) handle.cancel();
      most = std::max(most, timers_armed(r));
      co_await h::yield_now();
    }
    co_await until([&] { return far.load(); });
    HOLDS(far);
    co_await until([&] { return timers_armed(r) <= 1; });  // 1: this very wait's
    HOLDS(timers_armed(r) <= 1u);
    // However far off: what is cancelled goes at once, whoever cancels it.
    const auto still = timers_armed(r);
    std::vector<h::callback_handle> handles;
    for (int i = 0; i < 10'000; ++i) handles.push_back(l.call_later(1h, [] {}));
    for (std::size_t i = 0; i < handles.size(); i += 2) handles[i].cancel();
    HOLDS(timers_armed(r) <= still + handles.size() / 2);
    std::thread elsewhere([&] {
      for (auto& handle : handles) handle.cancel();
    });
    elsewhere.join();
    HOLDS(timers_armed(r) <= still);
    // A sleep that is cancelled takes its timer with it at once.
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 1000; ++i) all.push_back(h::create_task(sleep_long()));
    for (auto& t : all) co_await until_waiting(t);
    co_await until([&] { return timers_armed(r) >= 1000; });  // waiting comes first
    const auto before = timers_armed(r);
    for (auto& t : all) t.cancel();
    HOLDS(timers_armed(r) + 1000u <= before);
    for (auto& t : all) EQUAL(co_await ending(t), "Cancelled");
  }(rt));
}

TEST_P(TIME, TIME_06_ASleepYieldsItsResultAndACancelledOneItsTimer) {
  h::runtime rt(with());
  rt.run([](h::runtime& r) -> h::task<> {
    const auto due = h::clock::now() + 5ms;
    EQUAL(co_await h::sleep(5ms, 42), 42);
    HOLDS(h::clock::now() >= due);
    auto t = h::create_task(sleep_long());
    co_await until_waiting(t);
    co_await until([&] { return timers_armed(r) == 1; });
    t.cancel();
    EQUAL(timers_armed(r), 0u);
    EQUAL(co_await ending(t), "Cancelled");
  }(rt));
}

TEST_P(TIME, TIME_07_NoTimeIsOneYieldWithoutATimer) {
  h::runtime rt(with());
  const bool strict = one_loop();
  rt.run([](h::runtime& r, bool one) -> h::task<> {
    int turns = 0;
    auto other = [](int& n) -> h::task<> {
      for (int i = 0; i < 3; ++i) {
        ++n;
        co_await h::yield_now();
      }
    };
    h::task_handle<> t;
    if (one) t = h::create_task(other(turns));
    EQUAL(co_await h::sleep(0ms, 1), 1);
    if (one) EQUAL(turns, 1);
    EQUAL(co_await h::sleep(-3s, 2), 2);
    if (one) EQUAL(turns, 2);
    EQUAL(timers_armed(r), 0u);
    if (one) co_await t;
  }(rt, strict));
}

TEST_P(TIME, TIME_08_NotANumberIsABadValue) {
  run([]() -> h::task<> {
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    THROWS(h::bad_value, h::sleep(nan));
    THROWS(h::bad_value, h::sleep(nan, 1));
    co_return;
  });
}

TEST_P(TIME, TIME_09_EndlessSleepsNeitherOverflowNorWakeAndCanBeCancelled) {
  run([]() -> h::task<> {
    const std::chrono::duration<double> forever(std::numeric_limits<double>::infinity());
    const std::chrono::duration<double> long_time(1e12);
    auto a = h::create_task([](auto d) -> h::task<> { co_await h::sleep(d); }, forever);
    auto b = h::create_task([](auto d) -> h::task<> { co_await h::sleep(d); }, long_time);
    auto c = h::create_task([]() -> h::task<> { co_await h::sleep(std::chrono::hours::max()); });
    std::vector<h::any_task> all{a, b, c};
    for (auto& t : all) co_await until_waiting(t);
    co_await h::sleep(5ms);
    for (auto& t : all) HOLDS(!t.done());
    for (auto& t : all) t.cancel();
    EQUAL(co_await ending(a), "Cancelled");
    EQUAL(co_await ending(b), "Cancelled");
    EQUAL(co_await ending(c), "Cancelled");
  });
}

TEST_P(TIME, TIME_11_ASleeperOfABusyLoopWakesElsewhereOrAtItsNextPass) {
  h::runtime rt(with());
  rt.run([](h::runtime& r) -> h::task<> {
    for (int i = 0; i < 5; ++i) {
      std::atomic<int> woke{0};
      const bool others = r.loop_count() > 1;
      auto sleeper = [](std::atomic<int>& n) -> h::task<> {
        co_await h::sleep(2ms);
        ++n;
      };
      auto movable = h::create_task(sleeper(woke));
      auto pinned = h::create_task({.loop = &r.loop(0)}, sleeper, std::ref(woke));
      co_await until_waiting(movable);
      co_await until_waiting(pinned);
      // The loop where they sleep is kept busy: with others there, until the movable one has woken
      // without it.
      auto hog = h::create_task(
          {.loop = &r.loop(0)},
          [](std::atomic<int>& n, h::task_handle<> m, bool o) -> h::task<> {
            const auto limit = h::clock::now() + (o ? h::duration(20s) : h::duration(5ms));
            while (h::clock::now() < limit && !(o && m.done())) {}
            if (o) HOLDS(m.done());
            (void)n;
            co_return;
          },
          std::ref(woke), movable, others);
      co_await hog;
      co_await movable;
      co_await pinned;
      EQUAL(woke, 2);  // never lost, never twice
    }
  }(rt));
}

}  // namespace
