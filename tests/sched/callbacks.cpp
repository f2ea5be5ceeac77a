// SPDX-License-Identifier: MIT
// call_soon, call_later, call_at: on one loop in asyncio's order, on many with the weaker promise.
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <support/loops.h>
#include <support/timers.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::journal;
using support::timers_armed;
using support::until;
using support::until_later;

class Callbacks : public support::at_loops {};

TEST(CallbackOrder, FiveGivenFromOneCallbackRunInThatOrder) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    h::current_loop().call_soon([&log] {
      for (int i = 0; i < 5; ++i)
        h::current_loop().call_soon([&log, i] { log.add(std::to_string(i)); });
    });
    co_await until([&] { return log.lines().size() == 5; });
  }(log));
  EXPECT_EQ(log.joined(), "0 1 2 3 4");
}

TEST(CallbackOrder, WhatACallbackAddsRunsAfterThoseThatAreReady) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    auto& l = h::current_loop();
    l.call_soon([&] {
      log.add("a");
      l.call_soon([&] { log.add("a2"); });
      log.add("a-end");
    });
    l.call_soon([&] { log.add("b"); });
    co_await until([&] { return log.lines().size() == 4; });
  }(log));
  EXPECT_EQ(log.joined(), "a a-end b a2");
}

TEST(CallbackOrder, TasksAndCallbacksShareOneQueue) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    auto& l = h::current_loop();
    l.call_soon([&] { log.add("c1"); });
    auto t1 = h::create_task([&log]() -> h::task<> {
      log.add("t1");
      co_return;
    });
    l.call_soon([&] { log.add("c2"); });
    auto t2 = h::create_task([&log]() -> h::task<> {
      log.add("t2");
      co_return;
    });
    co_await h::yield_now();
    log.add("main");
    co_await t1;
    co_await t2;
  }(log));
  EXPECT_EQ(log.joined(), "c1 t1 c2 t2 main");
}

TEST(CallbackOrder, PastDeadlinesRunByDeadline) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    auto& l = h::current_loop();
    const auto now = l.now();
    l.call_at(now - 1s, [&] { log.add("a"); });
    l.call_at(now - 2s, [&] { log.add("b"); });
    co_await until([&] { return log.lines().size() == 2; });
  }(log));
  EXPECT_EQ(log.joined(), "b a");
}

TEST(CallbackOrder, EqualDeadlinesRunInTheOrderOfTheCalls) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    auto& l = h::current_loop();
    const auto when = l.now() + 2ms;
    for (int i = 0; i < 5; ++i) l.call_at(when, [&log, i] { log.add(std::to_string(i)); });
    co_await until_later([&] { return log.lines().size() == 5; });
  }(log));
  EXPECT_EQ(log.joined(), "0 1 2 3 4");
}

TEST_P(Callbacks, NeverRunInsideTheCall) {
  run([]() -> h::task<> {
    bool inside = true;
    std::atomic<bool> ran{false}, ran_inside{false};
    h::current_loop().call_soon([&] {
      ran_inside = inside;
      ran = true;
    });
    inside = false;
    co_await until([&] { return ran.load(); });
    EXPECT_FALSE(ran_inside);
  }());
}

TEST_P(Callbacks, GetTheirArgumentsKept) {
  run([]() -> h::task<> {
    std::atomic<int> sum{0};
    h::current_loop().call_soon([&](std::unique_ptr<int> a, int b) { sum = *a + b; },
                                std::make_unique<int>(40), 2);
    co_await until([&] { return sum == 42; });
  }());
}

TEST_P(Callbacks, RunOnTheirLoop) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    std::atomic<unsigned> right{0};
    for (unsigned i = 0; i < rt.loop_count(); ++i)
      rt.loop(i).call_soon([&right, i] { right += h::current_loop().index() == i ? 1u : 100u; });
    co_await until_later([&] { return right >= rt.loop_count(); });
    EXPECT_EQ(right, rt.loop_count());
  }(rt));
}

TEST_P(Callbacks, ACancelledOneNeverRunsAndReleasesWhatItHeldAtOnce) {
  run([]() -> h::task<> {
    auto held = std::make_shared<int>(1);
    std::atomic<bool> ran{false}, later{false};
    auto& l = h::current_loop();
    auto handle = l.call_soon([held, &ran] { ran = true; });
    const bool first = l.index() == h::current_loop().index();
    handle.cancel();
    handle.cancel();
    if (first && !ran) {
      EXPECT_TRUE(handle.cancelled());
      EXPECT_EQ(held.use_count(), 1);
    }
    l.call_soon([&] { later = true; });
    co_await until([&] { return later.load(); });
    if (handle.cancelled()) { EXPECT_FALSE(ran); }
  }());
}

TEST_P(Callbacks, ATimedOneCanBeCancelled) {
  run([]() -> h::task<> {
    auto held = std::make_shared<int>(1);
    std::atomic<bool> ran{false};
    auto handle = h::current_loop().call_later(1h, [held, &ran] { ran = true; });
    EXPECT_EQ(held.use_count(), 2);
    handle.cancel();
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(held.use_count(), 1);
    co_await h::yield_now();
    EXPECT_FALSE(ran);
  }());
}

TEST_P(Callbacks, CancellingItselfWhileItRunsHasNoEffect) {
  run([]() -> h::task<> {
    std::optional<h::callback_handle> handle;
    std::atomic<bool> done{false};
    auto& l = h::current_loop();
    l.call_soon([&] {  // on the loop itself, so that the handle is there before the callback runs
      handle = l.call_soon([&] {
        handle->cancel();
        EXPECT_FALSE(handle->cancelled());
        done = true;
      });
    });
    co_await until([&] { return done.load(); });
    EXPECT_FALSE(handle->cancelled());
  }());
}

TEST_P(Callbacks, ALaterOneIsNeverEarly) {
  run([]() -> h::task<> {
    auto& l = h::current_loop();
    std::atomic<bool> done{false};
    const auto due = l.now() + 5ms;
    h::time_point ran{};
    l.call_later(5ms, [&] {
      ran = l.now();
      done = true;
    });
    co_await until_later([&] { return done.load(); });
    EXPECT_GE(ran, due);
  }());
}

TEST_P(Callbacks, OnesFromAForeignThreadRunInItsOrderAlsoOnASleepingLoop) {
  h::runtime rt(with());
  std::vector<int> seen;
  std::atomic<int> count{0};
  auto& l = rt.loop(rt.loop_count() - 1);
  for (int i = 0; i < 1000; ++i)
    l.call_soon([&, i] {
      seen.push_back(i);
      ++count;
    });
  while (count != 1000) std::this_thread::yield();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i);
}

TEST_P(Callbacks, ATimedOneFromAForeignThreadWakesASleepingLoop) {
  h::runtime rt(with());
  for (int round = 0; round < support::rounds(200); ++round) {
    std::atomic<bool> ran{false};
    rt.loop(rt.loop_count() - 1).call_later(std::chrono::microseconds(round % 7 * 30), [&] {
      ran = true;
    });
    while (!ran) std::this_thread::yield();
  }
}

TEST_P(Callbacks, AnotherThreadMayCancelOneThatHasNotStarted) {
  h::runtime rt(with());
  std::atomic<bool> release{false}, entered{false}, ran{false}, after{false};
  auto& l = rt.loop(0);
  l.call_soon([&] {
    entered = true;
    while (!release) std::this_thread::yield();
  });
  while (!entered) std::this_thread::yield();
  auto handle = l.call_soon([&] { ran = true; });
  l.call_soon([&] { after = true; });
  handle.cancel();
  EXPECT_TRUE(handle.cancelled());
  release = true;
  while (!after) std::this_thread::yield();
  EXPECT_FALSE(ran);
}

// Against each other: the loop that fires, a callback and two threads that cancel, and at times the
// end of the runtime.
TEST_P(Callbacks, ATimedOneRunsOrIsCancelledOnceWhoeverCancelsItWhen) {
  constexpr int each = 64;
  for (int round = 0; round < support::rounds(100); ++round) {
    std::optional<h::runtime> rt(std::in_place, with());
    std::atomic<int> ran{0};
    auto held = std::make_shared<int>(1);
    std::vector<h::callback_handle> handles;
    for (unsigned i = 0; i < each; ++i)
      handles.push_back(
          rt->loop(i % rt->loop_count())
              .call_later(std::chrono::microseconds(i * 7 % 60), [held, &ran] { ++ran; }));
    const auto cancel_all = [](std::vector<h::callback_handle> list) {
      for (auto& one : list) one.cancel();
    };
    rt->loop(0).call_soon(cancel_all, handles);
    std::thread forward(cancel_all, handles);
    std::thread backward(cancel_all,
                         std::vector<h::callback_handle>(handles.rbegin(), handles.rend()));
    if (round % 2 == 0) rt.reset();
    forward.join();
    backward.join();
    rt.reset();
    int cancelled = 0;
    for (const auto& one : handles) cancelled += one.cancelled();
    EXPECT_EQ(ran + cancelled, each);
    EXPECT_EQ(held.use_count(), 1);
  }
}

TEST_P(Callbacks, AHandleMayOutliveItsRuntime) {
  h::callback_handle early, late;
  {
    h::runtime rt(with());
    early = rt.loop(0).call_later(1h, [] {});
    late = rt.loop(0).call_soon([] {});
  }
  h::runtime next(with());  // perhaps with the same number, perhaps in the same place
  auto its = next.loop(0).call_later(1h, [] {});
  early.cancel();
  late.cancel();
  EXPECT_TRUE(early.cancelled());
  EXPECT_EQ(timers_armed(next), 1u);
  its.cancel();
  EXPECT_EQ(timers_armed(next), 0u);
}

TEST_P(Callbacks, OneThatThrowsIsReportedOnceAndTheNextStillRuns) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  std::atomic<bool> good{false};
  h::run(
      [](std::atomic<bool>& good) -> h::task<> {
        auto& l = h::current_loop();
        l.call_soon([] { throw std::runtime_error("bad"); });
        l.call_soon([&] { good = true; });
        co_await until([&] { return good.load(); });
      }(good),
      o);
  ASSERT_EQ(seen.count(), 1u);
  EXPECT_NE(h::describe(seen.at(0).error).find("bad"), std::string::npos);
}

TEST_P(Callbacks, OnesThatWaitForTheirTimeAtTheEndAreDropped) {
  auto held = std::make_shared<int>(1);
  run([](std::shared_ptr<int> held) -> h::task<> {
    h::current_loop().call_later(1h, [held] {});
    co_return;
  }(held));
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(Callbacks, OneThatGivesItselfAgainAndAgainDoesNotKeepTheRuntimeAlive) {
  support::reports quiet;  // it is told so by a usage_error
  auto o = with();
  quiet.install(o);
  struct again {
    std::shared_ptr<int> held;
    void operator()() const { h::current_loop().call_soon(again{held}); }
  };
  auto held = std::make_shared<int>(1);
  h::run(
      [](std::shared_ptr<int> held) -> h::task<> {
        h::current_loop().call_soon(again{held});
        co_await h::sleep(1ms);
      }(held),
      o);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Loop, CurrentLoopIsAnErrorOutsideAndNullIfAskedSoftly) {
  EXPECT_THROW((void)h::current_loop(), h::no_running_loop);
  EXPECT_EQ(h::current_loop_if_any(), nullptr);
  EXPECT_THROW((void)h::current_runtime(), h::no_running_loop);
  EXPECT_THROW((void)h::all_tasks(), h::no_running_loop);
  EXPECT_FALSE(h::current_task().valid());
}

TEST_P(Callbacks, TheLoopIsKnownInsideCallbacksButNoTask) {
  run([]() -> h::task<> {
    std::atomic<bool> done{false};
    h::current_loop().call_soon([&] {
      EXPECT_NE(h::current_loop_if_any(), nullptr);
      EXPECT_FALSE(h::current_task().valid());
      done = true;
    });
    co_await until([&] { return done.load(); });
  }());
}

HEDDLE_AT_LOOPS(Callbacks);

}  // namespace
