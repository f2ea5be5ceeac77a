// SPDX-License-Identifier: MIT
// What comes out of a task: values, errors, and handles that outlive it; and its done-callbacks.
#include "sched/small_tasks.h"

#include <heddle/core/future.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace small_tasks;
using namespace std::chrono_literals;
using support::journal;
using support::until;
using support::until_later;

class TaskResults : public support::at_loops {};
class DoneCallbacks : public support::at_loops {};

TEST_P(TaskResults, AwaitingYieldsTheValueAnyNumberOfTimes) {
  run([]() -> h::task<> {
    auto t = h::create_task(give_after_a_yield(42));
    int& first = co_await t;
    int& second = co_await t;
    EXPECT_EQ(first, 42);
    EXPECT_EQ(&first, &second);
    EXPECT_EQ(t.result(), 42);
    EXPECT_EQ(t.exception(), nullptr);
    EXPECT_TRUE(t.done());
    EXPECT_FALSE(t.cancelled());
  }());
}

TEST_P(TaskResults, ManyTasksMayAwaitOne) {
  run([]() -> h::task<> {
    auto t = h::create_task(give_after_a_yield(7));
    std::vector<h::task_handle<int>> all;
    for (int i = 0; i < 50; ++i)
      all.push_back(
          h::create_task([](h::task_handle<int> t) -> h::task<int> { co_return co_await t; }, t));
    int sum = 0;
    for (auto& a : all) sum += co_await a;
    EXPECT_EQ(sum, 350);
  }());
}

TEST_P(TaskResults, TheSameErrorReachesEveryoneWhoAwaits) {
  run([]() -> h::task<> {
    auto t = h::create_task(fail_after_a_yield("E"));
    for (int i = 0; i < 3; ++i) {
      std::string seen;
      try {
        co_await t;
      } catch (const std::runtime_error& e) { seen = e.what(); }
      EXPECT_EQ(seen, "E");
    }
    EXPECT_NE(t.exception(), nullptr);
    EXPECT_EQ(t.exception(), t.exception());
    EXPECT_THROW(t.result(), std::runtime_error);
    EXPECT_EQ(t.state(), "failed");
  }());
}

TEST_P(TaskResults, AMoveOnlyResultIsMovedOut) {
  run([]() -> h::task<> {
    auto t = h::create_task(
        []() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); });
    std::unique_ptr<int> got = co_await std::move(t);
    EXPECT_EQ(*got, 5);
  }());
}

TEST_P(TaskResults, AReferenceResultIsTheObjectItself) {
  run([]() -> h::task<> {
    int object = 1;
    auto t = h::create_task([](int& o) -> h::task<int&> { co_return o; }, std::ref(object));
    int& got = co_await t;
    EXPECT_EQ(&got, &object);
  }());
}

TEST_P(TaskResults, ALargeResultIsKeptAndReleased) {
  struct large {
    std::shared_ptr<int> held;
    char bytes[500]{};
  };
  auto held = std::make_shared<int>(3);
  run([](std::shared_ptr<int> held) -> h::task<> {
    auto t = h::create_task(
        [](std::shared_ptr<int> held) -> h::task<large> { co_return large{std::move(held), {}}; },
        std::move(held));
    EXPECT_EQ(*(co_await t).held, 3);
  }(held));
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(TaskResults, AskingTooEarlyIsAnInvalidState) {
  run([]() -> h::task<> {
    h::promise<> gate;
    auto t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gate.get_future());
    EXPECT_THROW(t.result(), h::invalid_state_error);
    EXPECT_THROW((void)t.exception(), h::invalid_state_error);
    EXPECT_FALSE(t.done());
    gate.set_value();
    co_await t;
  }());
}

TEST_P(TaskResults, ADroppedHandleDoesNotStopTheTask) {
  run([]() -> h::task<> {
    std::atomic<bool> logged{false};
    (void)h::create_task([&]() -> h::task<> {
      co_await h::sleep(1ms);
      logged = true;
    });
    co_await until_later([&] { return logged.load(); });
  }());
}

TEST_P(TaskResults, AHandleOutlivesItsRuntime) {
  h::task_handle<std::string> kept;
  h::task_handle<> cancelled;
  h::task_handle<> failed;
  run([](h::task_handle<std::string>& kept, h::task_handle<>& cancelled,
         h::task_handle<>& failed) -> h::task<> {
    kept = h::create_task(
        []() -> h::task<std::string> { co_return "a result longer than any small string"; });
    cancelled = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
    failed = h::create_task(fail_after_a_yield("late"));
    co_await kept;
    co_await until_later([&] { return failed.done(); });
  }(kept, cancelled, failed));
  EXPECT_EQ(kept.result(), "a result longer than any small string");
  EXPECT_FALSE(kept.cancel());
  EXPECT_TRUE(cancelled.cancelled());
  EXPECT_THROW(cancelled.result(), h::cancelled_error);
  EXPECT_THROW(failed.result(), std::runtime_error);
  EXPECT_EQ(kept.state(), "done");
  EXPECT_THROW(kept.add_done_callback([] {}), h::usage_error);
}

TEST_P(TaskResults, AnEmptyTaskOrHandleIsAUsageError) {
  run([]() -> h::task<> {
    EXPECT_THROW(h::create_task(h::task<>()), h::usage_error);
    auto t = give(1);
    (void)co_await t;
    EXPECT_THROW(h::create_task(std::move(t)), h::usage_error);
    h::task_handle<int> none;
    EXPECT_FALSE(none.valid());
    EXPECT_THROW((void)none.done(), h::usage_error);
    EXPECT_THROW(none.cancel(), h::usage_error);
    bool thrown = false;
    try {
      (void)co_await none;
    } catch (const h::usage_error&) { thrown = true; }
    EXPECT_TRUE(thrown);
  }());
}

// -------------------------------------------------------------- done-callbacks

TEST_P(DoneCallbacks, ADoneCallbackRunsOnceAfterTheTaskReadsAsDoneForEachWayToEnd) {
  run([]() -> h::task<> {
    auto value = h::create_task(give_after_a_yield(1));
    auto error = h::create_task(fail_after_a_yield("E"));
    auto cancelled = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
    std::atomic<int> called{0}, wrong{0};
    value.add_done_callback([&](h::task_handle<int> t) {
      if (!t.done() || t.result() != 1) ++wrong;
      ++called;
    });
    error.add_done_callback([&](h::task_handle<> t) {
      if (!t.done() || !t.exception()) ++wrong;
      ++called;
    });
    cancelled.add_done_callback([&](h::task_handle<> t) {
      if (!t.cancelled()) ++wrong;
      ++called;
    });
    cancelled.cancel();
    co_await until_later([&] { return called == 3; });
    co_await h::yield_now();
    EXPECT_EQ(called, 3);
    EXPECT_EQ(wrong, 0);
  }());
}

TEST_P(DoneCallbacks, ADoneCallbackAddedLateIsStillCalledAndNeverInsideTheCall) {
  run([]() -> h::task<> {
    auto t = h::create_task(give(1));
    co_await t;
    std::atomic<bool> called{false};
    bool in_call = true;
    t.add_done_callback([&, here = std::this_thread::get_id()] {
      EXPECT_FALSE(in_call);
      called = true;
    });
    in_call = false;
    co_await until([&] { return called.load(); });
  }());
}

TEST_P(DoneCallbacks, ADoneCallbackCanBeTakenBack) {
  auto held = std::make_shared<int>(1);
  run([](std::shared_ptr<int> held) -> h::task<> {
    h::promise<> gate;
    auto t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gate.get_future());
    std::atomic<bool> first{false}, second{false};
    auto handle = t.add_done_callback([&, held] { first = true; });
    t.add_done_callback([&] { second = true; });
    handle.cancel();
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(held.use_count(), 2);  // the one that the callback held was released
    gate.set_value();
    co_await until([&] { return second.load(); });
    EXPECT_FALSE(first);
  }(held));
  EXPECT_EQ(held.use_count(), 1);
}

/// Notes at which addresses it was.
struct placed {
  explicit placed(std::set<const void*>& s) : seen(&s) { s.insert(this); }
  placed(const placed& other) : seen(other.seen) { seen->insert(this); }
  void operator()() const {}
  std::set<const void*>* seen;
};

TEST_P(DoneCallbacks, ADoneCallbackThatWasTakenBackLeavesNothingWithItsTask) {
  run([]() -> h::task<> {
    h::promise<> gate;
    auto t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gate.get_future());
    std::set<const void*> seen;
    for (int i = 0; i < 10'000; ++i) t.add_done_callback(placed(seen)).cancel();
    // The same memory again and again, though the task lives; AddressSanitizer gives none out again
    // so soon.
    if (!HEDDLE_ASAN) { EXPECT_LT(seen.size(), 1000u); }
    gate.set_value();
    co_await t;
  }());
}

TEST_P(DoneCallbacks, ADoneCallbackRunsOrIsTakenBackOnceWhoeverIsFirst) {
  for (int round = 0; round < support::rounds(200); ++round) {
    auto held = std::make_shared<int>(1);
    std::atomic<int> ran{0};
    std::vector<h::callback_handle> handles;
    h::runtime rt(with());
    h::promise<> gate;
    auto ended = rt.submit([](h::future<> f, std::vector<h::callback_handle>& handles,
                              std::shared_ptr<int> held, std::atomic<int>& ran) -> h::task<> {
      auto t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, f);
      for (int i = 0; i < 16; ++i) handles.push_back(t.add_done_callback([held, &ran] { ++ran; }));
      std::thread elsewhere([&handles] {
        for (auto& one : handles) one.cancel();
      });
      co_await t;
      elsewhere.join();
    }(gate.get_future(), handles, held, ran));
    gate.set_value();
    ended.wait();
    const auto settled = [&] {
      int n = ran;
      for (const auto& one : handles) n += one.cancelled();
      return n;
    };
    while (settled() < 16) std::this_thread::yield();
    rt.close();
    EXPECT_EQ(settled(), 16);
    handles.clear();
    ended = {};
    EXPECT_EQ(held.use_count(), 1);
  }
}

TEST_P(DoneCallbacks, ADoneCallbackThatOutlivesItsRuntimeIsDroppedUnrun) {
  auto held = std::make_shared<int>(1);
  std::atomic<bool> ran{false};
  h::runtime rt(with());
  h::promise<> gate;
  h::task_handle<> theirs;
  rt.run([](h::task_handle<>& t, h::future<> f) -> h::task<> {
    t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, f);
    co_return;
  }(theirs, gate.get_future()));
  // Added on a loop of a runtime that ends before the task does.
  run([](h::task_handle<> t, std::shared_ptr<int> held, std::atomic<bool>& ran) -> h::task<> {
    t.add_done_callback([held, &ran] { ran = true; });
    co_return;
  }(theirs, held, ran));
  gate.set_value();
  while (!theirs.done()) std::this_thread::yield();
  rt.run([]() -> h::task<> { co_return; }());
  while (held.use_count() != 1) std::this_thread::yield();
  EXPECT_FALSE(ran);
}

TEST_P(DoneCallbacks, AForeignThreadMayAddADoneCallback) {
  h::runtime rt(with());
  h::task_handle<int> t;
  rt.run([](h::task_handle<int>& t) -> h::task<> {
    t = h::create_task(give_after_a_yield(9));
    co_return;
  }(t));
  std::atomic<int> got{0};
  t.add_done_callback([&](h::task_handle<int> t) { got = t.result(); });
  while (got == 0) std::this_thread::yield();
  EXPECT_EQ(got, 9);
}

HEDDLE_AT_LOOPS(TaskResults);
HEDDLE_AT_LOOPS(DoneCallbacks);

}  // namespace
