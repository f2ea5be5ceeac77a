// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/timers.h>

#include <heddle/sched/as_completed.h>

namespace {

using namespace conformance;
using support::timers_armed;

CASES(ASC);

/// g++ 12 has no initializer lists in coroutines.
template <class A, class... As>
std::vector<A> list(A first, As... others) {
  return {first, others...};
}

h::task<int> wait_then(h::future<> go, int value) {
  co_await go;
  co_return value;
}

TEST_P(ASC, ASC_01_InTheOrderOfCompletionThoseDoneAlreadyFirst) {
  run([]() -> h::task<> {
    std::vector<h::promise<>> go(3);
    std::vector<h::task<int>> members;
    for (int i = 0; i < 3; ++i)
      members.push_back(wait_then(go[static_cast<std::size_t>(i)].get_future(), i));
    auto all = h::as_completed(std::move(members));
    std::vector<int> order;
    for (const std::size_t i : {2u, 0u, 1u}) {
      go[i].set_value();
      auto next = co_await all.next();
      HOLDS(next && next->done());
      order.push_back(next->result());
    }
    EQUAL(order, (std::vector<int>{2, 0, 1}));
    auto none = co_await all.next();
    HOLDS(!none);
    none = co_await all.next();
    HOLDS(!none);

    h::promise<> later;
    auto pending = h::create_task(wait_then(later.get_future(), 1));
    auto done = h::create_task([]() -> h::task<int> { co_return 2; });
    co_await until_done(done);
    auto mixed = h::as_completed(list(pending, done));
    auto first = co_await mixed.next();
    HOLDS(*first == done);
    later.set_value();
    auto second = co_await mixed.next();
    HOLDS(*second == pending);
    auto empty = h::as_completed(std::vector<h::task<int>>());
    auto nothing = co_await empty.next();
    HOLDS(!nothing);
  });
}

TEST_P(ASC, ASC_02_HandlesComeBackAsThemselvesAndTasksAsNewOnes) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto known = h::create_task(wait_then(go.get_future(), 1));
    auto all = h::as_completed(known, wait_then(go.get_future(), 2));
    go.set_value();
    int sum = 0;
    int same = 0;
    while (auto next = co_await all.next()) {
      HOLDS(next->done());
      sum += next->result();
      if (*next == known) ++same;
    }
    EQUAL(sum, 3);
    EQUAL(same, 1);
  });
}

TEST_P(ASC, ASC_04_NoTimerStaysBehind) {
  run([]() -> h::task<> {
    std::vector<h::task<int>> members;
    for (int i = 0; i < 3; ++i)
      members.push_back([](int i) -> h::task<int> {
        co_await settle();
        co_return i;
      }(i));
    auto all = h::as_completed(std::move(members), 1h);
    int n = 0;
    while (auto next = co_await all.next()) ++n;
    EQUAL(n, 3);
    EQUAL(timers_armed(), 0u);
  });
}

TEST_P(ASC, ASC_04_WhenTheTimeIsOverEachMissingOneIsATimeout) {
  run([]() -> h::task<> {
    auto a = h::create_task(sleep_long());
    auto b = h::create_task(sleep_long());
    auto quick = h::create_task([]() -> h::task<> { co_return; });
    co_await until_done(quick);  // in the time, that is
    auto all = h::as_completed(list(a, quick, b), 10ms);
    auto first = co_await all.next();
    HOLDS(*first == quick);
    int late = 0;
    for (;;) {
      bool over = false;
      try {
        auto next = co_await all.next();
        over = !next;
      } catch (const h::timeout_error&) { ++late; }
      if (over) break;
    }
    EQUAL(late, 2);
    HOLDS(!a.done() && !b.done());
    EQUAL(a.cancelling() + b.cancelling(), 0u);
    a.cancel();
    b.cancel();
  });
}

TEST_P(ASC, ASC_05_OneListedTwiceComesOutOnce) {
  run([]() -> h::task<> {
    auto a = h::create_task([]() -> h::task<int> { co_return 1; });
    auto b = h::create_task([]() -> h::task<int> { co_return 2; });
    auto all = h::as_completed(list(a, b, a, b, b));
    int n = 0;
    int sum = 0;
    while (auto next = co_await all.next()) {
      ++n;
      sum += next->result();
    }
    EQUAL(n, 2);
    EQUAL(sum, 3);
  });
}

TEST_P(ASC, ASC_06_OneMayBreakOffAndGoOn) {
  run([]() -> h::task<> {
    std::vector<h::promise<>> go(4);
    std::vector<h::task_handle<int>> members;
    for (auto& p : go) members.push_back(h::create_task(wait_then(p.get_future(), 1)));
    auto all = h::as_completed(members);
    int n = 0;
    go[1].set_value();
    go[3].set_value();
    while (auto next = co_await all.next())
      if (++n == 2) break;
    co_await settle();
    HOLDS(!members[0].done() && !members[2].done());
    EQUAL(members[0].cancelling() + members[2].cancelling(), 0u);
    go[0].set_value();
    go[2].set_value();
    while (auto next = co_await all.next()) ++n;
    EQUAL(n, 4);
    {
      auto dropped = h::as_completed(list(h::create_task(settle()), h::create_task(settle())));
      auto first = co_await dropped.next();
      HOLDS(first.has_value());
    }
    co_await settle();
  });
}

TEST_P(ASC, ASC_08_AnErrorComesFromItsElementAlone) {
  run([]() -> h::task<> {
    std::vector<h::task<int>> members;
    for (int i = 0; i < 4; ++i)
      members.push_back([](int i) -> h::task<int> {
        co_await h::yield_now();
        if (i == 1) throw error_e();
        co_return i;
      }(i));
    auto all = h::as_completed(std::move(members));
    int sum = 0;
    int errors = 0;
    while (auto next = co_await all.next()) {
      try {
        sum += co_await *next;
      } catch (const error_e&) { ++errors; }
    }
    EQUAL(sum, 5);
    EQUAL(errors, 1);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(ASC, ASC_09_CancellingTheTaskThatIterates) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(100); ++round) {
      h::promise<> go;
      auto a = h::create_task(wait_then(go.get_future(), 1));
      auto b = h::create_task(wait_then(go.get_future(), 2));
      auto all = h::as_completed(list(a, b));
      std::atomic<int> got{0};
      auto t = h::create_task([&]() -> h::task<> {
        while (auto next = co_await all.next()) ++got;
        co_await h::sleep(1h);
      });
      if (round % 2) co_await until_waiting(t);
      auto setter = h::create_task([&]() -> h::task<> {
        if (round % 4 >= 2) go.set_value();  // races with the cancellation
        co_return;
      });
      t.cancel();
      EQUAL(co_await ending(t), "Cancelled");
      co_await setter;
      if (round % 4 < 2) go.set_value();
      EQUAL(co_await a + co_await b, 3);
      while (auto next = co_await all.next()) ++got;  // nothing is lost
      EQUAL(got.load(), 2);
    }
  });
}

TEST_P(ASC, ASC_10_EachOfManyExactlyOnce) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(10); ++round) {
      const int n = 1000;
      std::vector<h::task<int>> members;
      for (int i = 0; i < n; ++i)
        members.push_back([](int i) -> h::task<int> {
          for (int k = 0; k < i % 4; ++k) co_await h::yield_now();
          co_return i;
        }(i));
      std::vector<int> seen(n, 0);
      auto all = h::as_completed(std::move(members));
      while (auto next = co_await all.next()) ++seen[static_cast<std::size_t>(next->result())];
      int wrong = 0;
      for (int s : seen) wrong += s != 1;
      EQUAL(wrong, 0);
    }
  });
}

}  // namespace
