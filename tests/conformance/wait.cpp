// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/timers.h>

#include <heddle/sched/wait_many.h>

namespace {

using namespace conformance;
using h::wait_until;
using support::timers_armed;

CASES(WAIT);

/// g++ 12 has no initializer lists in coroutines.
template <class A, class... As>
std::vector<A> list(A first, As... others) {
  return {first, others...};
}

h::task<int> wait_then(h::future<> go, int value) {
  co_await go;
  co_return value;
}
h::task<int> fail_after(h::future<> go) {
  co_await go;
  throw error_e();
}

TEST_P(WAIT, WAIT_01_AllAreDoneAndAnErrorIsNotThrown) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto members = list(h::create_task(wait_then(go.get_future(), 1)),
                        h::create_task(fail_after(go.get_future())));
    auto all = h::create_task(h::wait(members));
    co_await until_waiting(all);
    go.set_value();
    auto& result = co_await all;
    EQUAL(result.done.size(), 2u);
    HOLDS(result.pending.empty());
    EQUAL(result.done[0].result(), 1);
    EQUAL(name_of(result.done[1].exception()), "E");
    bool others_ran = false;
    auto other = h::create_task([&]() -> h::task<> {
      others_ran = true;
      co_return;
    });
    auto again = h::wait(members, wait_until::all_completed);
    const auto at_once = co_await std::move(again);
    EQUAL(at_once.done.size(), 2u);
    if (one_loop()) HOLDS(!others_ran);
    co_await other;
    h::promise<int> f;
    f.set_value(3);
    auto futures = h::wait(list(f.get_future()), wait_until::all_completed, 1h);
    const auto of_futures = co_await std::move(futures);
    EQUAL(of_futures.done[0].result(), 3);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(WAIT, WAIT_02_TheFirstThatEndsAndThePendingOneGoesOn) {
  run([]() -> h::task<> {
    auto slow = h::create_task(sleep_long());
    auto fast = h::create_task([]() -> h::task<> { co_await h::sleep(1ms); });
    auto first = h::wait(list(slow, fast), wait_until::first_completed);
    const auto result = co_await std::move(first);
    EQUAL(result.done.size(), 1u);
    EQUAL(result.pending.size(), 1u);
    HOLDS(result.done[0] == fast && result.pending[0] == slow);
    HOLDS(!slow.done());
    EQUAL(slow.cancelling(), 0u);
    slow.cancel();
  });
}

TEST_P(WAIT, WAIT_03_TheFirstFailureOrAll) {
  run([]() -> h::task<> {
    h::promise<> go;
    h::promise<> never;
    auto sleeps = h::create_task(wait_then(never.get_future(), 1));
    auto ends = h::create_task([]() -> h::task<int> { co_return 2; });
    auto cancelled = h::create_task(wait_then(never.get_future(), 1));
    cancelled.cancel();
    co_await until_done(cancelled);
    never = h::promise<>();
    auto fails = h::create_task(fail_after(go.get_future()));
    h::promise<> late;
    auto stays = h::create_task(wait_then(late.get_future(), 3));
    auto members = list(stays, ends, cancelled, fails);
    auto t = h::create_task(h::wait(members, wait_until::first_exception));
    co_await until_done(ends);
    co_await until_waiting(t);
    co_await settle();
    HOLDS(!t.done());  // neither a value nor a cancellation is a failure
    go.set_value();
    auto& result = co_await t;
    EQUAL(result.done.size(), 3u);
    EQUAL(result.pending.size(), 1u);
    HOLDS(result.done[2] == fails && result.pending[0] == stays);
    auto again = h::wait(members, wait_until::first_exception);
    const auto failed_before = co_await std::move(again);
    EQUAL(failed_before.pending.size(), 1u);
    late.set_value();
    auto without = h::wait(list(stays, ends), wait_until::first_exception);
    const auto all = co_await std::move(without);
    EQUAL(all.done.size(), 2u);
    EQUAL(name_of(fails.exception()), "E");
  });
}

TEST_P(WAIT, WAIT_05_WhenTheTimeIsOverNothingIsThrownOrCancelled) {
  run([]() -> h::task<> {
    auto slow = h::create_task(sleep_long());
    auto fast = h::create_task(settle());
    auto limited = h::wait(list(slow, fast), wait_until::all_completed, 20ms);
    const auto begun = h::clock::now();
    const auto result = co_await std::move(limited);
    HOLDS(h::clock::now() - begun >= 20ms);
    EQUAL(result.pending.size() + result.done.size(), 2u);
    HOLDS(result.pending.at(0) == slow);
    EQUAL(slow.cancelling(), 0u);
    bool others_ran = false;
    auto other = h::create_task([&]() -> h::task<> {
      others_ran = true;
      co_return;
    });
    auto none = h::wait(list(slow), wait_until::all_completed, 0ms);
    const auto at_once = co_await std::move(none);
    EQUAL(at_once.pending.size(), 1u);
    HOLDS(at_once.done.empty());
    if (one_loop()) HOLDS(!others_ran);
    co_await other;
    auto unlimited = h::wait(list(other), wait_until::all_completed, std::nullopt);
    (void)co_await std::move(unlimited);
    slow.cancel();
    (void)co_await ending(slow);
    EQUAL(timers_armed(), 0u);
  });
}

TEST_P(WAIT, WAIT_07_AMemberListedTwiceIsOne) {
  run([]() -> h::task<> {
    auto a = h::create_task([]() -> h::task<> { co_await h::sleep(1ms); });
    auto b = h::create_task([]() -> h::task<> { co_await h::sleep(1ms); });
    auto twice = h::wait(list(a, b, a, a, b));
    const auto result = co_await std::move(twice);
    EQUAL(result.done.size(), 2u);
    HOLDS(result.done[0] == a && result.done[1] == b);
  });
}

TEST_P(WAIT, WAIT_08_NothingToWaitForAndAnUnknownConditionAreBadValues) {
  run([]() -> h::task<> {
    EQUAL(co_await ending(h::wait(std::vector<h::task_handle<>>())), "BadValue");
    auto t = h::create_task(settle());
    EQUAL(co_await ending(h::wait(list(t), static_cast<wait_until>(17))), "BadValue");
    co_await t;
  });
}

TEST_P(WAIT, WAIT_09_CancellingTheTaskLeavesTheMembersAlone) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto a = h::create_task(wait_then(go.get_future(), 1));
    auto b = h::create_task(wait_then(go.get_future(), 2));
    for (int i = 0; i < rounds(100);
         ++i) {  // and no node is left on them: it would fire into a dead frame
      auto t = h::create_task(h::wait(list(a, b)));
      if (i % 3 != 0) co_await until_waiting(t);
      t.cancel();
      EQUAL(co_await ending(t), "Cancelled");
    }
    HOLDS(!a.done() && !b.done());
    EQUAL(a.cancelling() + b.cancelling(), 0u);
    go.set_value();
    EQUAL(co_await a + co_await b, 3);
  });
}

TEST_P(WAIT, WAIT_11_MembersThatEndTogetherWakeTheWaiterOnce) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(400); ++round) {
      std::vector<h::task_handle<int>> members;
      for (int i = 0; i < 64; ++i)
        members.push_back(h::create_task(
            [](int i) -> h::task<int> {
              if (i % 2) co_await h::yield_now();
              co_return i;
            },
            i));
      int resumed = 0;
      auto first = h::wait(members, wait_until::first_completed);
      const auto result = co_await std::move(first);
      ++resumed;
      HOLDS(!result.done.empty());
      EQUAL(result.done.size() + result.pending.size(), 64u);
      EQUAL(resumed, 1);
      auto rest = h::wait(members);
      const auto all = co_await std::move(rest);
      EQUAL(all.done.size(), 64u);
    }
  });
}

}  // namespace
