// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/core/context.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/to_thread.h>

#include <algorithm>
#include <random>
#include <thread>

namespace {

using namespace conformance;

CASES(CTX);

h::context_var<int> number{"number"};
h::context_var<std::string> word{"word", "default"};

TEST_P(CTX, CTX_01_ParentAndChildSeeOnlyTheirOwnChangesAfterTheCreation) {
  run([]() -> h::task<> {
    EQUAL(word.get(), "default");
    EQUAL(number.get(7), 7);
    THROWS(h::usage_error, number.get());
    number.set(1);
    word.set("before");
    h::promise<> child_set;
    h::promise<> parent_set;
    auto child = h::create_task(
        [](h::promise<> mine, h::future<> theirs) -> h::task<> {
          EQUAL(number.get(), 1);
          EQUAL(word.get(), "before");
          number.set(2);
          mine.set_value();
          co_await theirs;
          EQUAL(number.get(), 2);
          EQUAL(word.get(), "before");
        },
        std::move(child_set), parent_set.get_future());
    number.set(3);
    word.set("after");
    EQUAL(number.get(), 3);
    parent_set.set_value();
    co_await child;
    EQUAL(number.get(), 3);
    EQUAL(word.get(), "after");
    // A child made before anything is set in its creator stays empty; one made now begins with what
    // is set now.
    auto late = h::create_task([]() -> h::task<int> { co_return number.get(); });
    EQUAL(co_await late, 3);
  });
}

TEST_P(CTX, CTX_01_PlainCallsStrandsAndCallbacksBelongToTheirTask) {
  run([]() -> h::task<> {
    number.set(1);
    auto call = []() -> h::task<> {
      number.set(2);
      co_return;
    };
    co_await call();
    EQUAL(number.get(), 2);
    auto strand = []() -> h::task<int> {
      co_await h::yield_now();
      co_return number.get();
    };
    auto [a, b] = co_await h::fork_join(strand(), strand());
    EQUAL(a + b, 4);
    // A callback sees a copy of what was set where it was given.
    h::promise<int> seen, seen_later, seen_after;
    auto f = seen.get_future(), later = seen_later.get_future(), after = seen_after.get_future();
    h::promise<> done;
    auto d = done.get_future();
    d.add_done_callback([p = std::move(seen_after)]() mutable { p.set_value(number.get()); });
    h::current_loop().call_soon([p = std::move(seen)]() mutable {
      const int before = number.get();
      number.set(100);
      p.set_value(before + number.get());
    });
    h::current_loop().call_later(
        1ms, [p = std::move(seen_later)]() mutable { p.set_value(number.get()); });
    number.set(3);
    done.set_value();
    EQUAL(co_await f, 102);
    EQUAL(co_await later, 2);
    EQUAL(co_await after, 2);
    EQUAL(number.get(), 3);
  });
}

TEST_P(CTX, CTX_01_ATokenTakesASetBackOnceAndOnlyInItsContext) {
  run([]() -> h::task<> {
    auto first = number.set(1);
    HOLDS(!first.old_value());
    auto second = number.set(2);
    EQUAL(second.old_value().value(), 1);
    number.reset(second);
    EQUAL(number.get(), 1);
    THROWS(h::usage_error, number.reset(second));
    h::context_var<int> other{"other"};
    THROWS(h::bad_value, other.reset(first));
    auto elsewhere = h::create_task(
        [](h::context_token<int>& token) -> h::task<> {
          THROWS(h::bad_value, number.reset(token));
          co_return;
        },
        std::ref(first));
    co_await elsewhere;
    number.reset(first);
    HOLDS(!number.try_get());
  });
}

TEST_P(CTX, CTX_02_TasksOfOneExplicitContextSeeEachOthersChanges) {
  run([]() -> h::task<> {
    number.set(1);
    auto shared = h::copy_context();
    auto first = h::create_task({.context = shared}, []() -> h::task<> {
      EQUAL(number.get(), 1);
      co_await h::yield_now();
      number.set(2);
    });
    co_await first;
    auto second = h::create_task({.context = shared}, []() -> h::task<int> {
      co_await h::yield_now();
      co_return number.get();
    });
    EQUAL(co_await second, 2);
    EQUAL(shared.get(number).value(), 2);
    EQUAL(shared.run([] { return number.get(); }), 2);
    EQUAL(number.get(), 1);
    // The same by the context of a running task.
    auto third = h::create_task({.context = h::current_task().get_context()}, []() -> h::task<> {
      number.set(9);
      co_return;
    });
    co_await third;
    EQUAL(number.get(), 9);
    HOLDS(shared.contains(number) && !h::context().contains(number));
    HOLDS(shared.copy() != shared);
  });
}

TEST_P(CTX, CTX_02_ManyTasksMayChangeOneContextAtOnce) {
  run([]() -> h::task<> {
    h::context shared;
    std::vector<std::unique_ptr<h::context_var<int>>> variables;
    for (int i = 0; i < 16; ++i)
      variables.push_back(std::make_unique<h::context_var<int>>(std::to_string(i)));
    std::vector<h::task_handle<>> all;
    for (auto& v : variables)
      all.push_back(h::create_task(
          {.context = shared},
          [](h::context_var<int>& mine) -> h::task<> {
            for (int k = 0; k < rounds(200); ++k) {
              mine.set(k);
              if (k % 16 == 0) co_await h::yield_now();
              if (mine.get() != k) throw error_e();
            }
          },
          std::ref(*v)));
    for (auto& t : all) co_await t;
    EQUAL(shared.size(), 16u);
    for (auto& v : variables) EQUAL(shared.get(*v).value(), rounds(200) - 1);
  });
}

TEST_P(CTX, CTX_04_ATaskNeverSeesTheValueOfAnotherAlsoWhenItMoves) {
  run([]() -> h::task<> {
    std::vector<h::task_handle<>> all;
    std::atomic<int> wrong{0};
    for (int i = 0; i < 100; ++i)
      all.push_back(h::create_task(
          [](int mine, std::atomic<int>& wrong) -> h::task<> {
            std::minstd_rand random(static_cast<unsigned>(mine) + 1);
            number.set(mine);
            word.set(std::to_string(mine));
            for (int k = 0; k < 10; ++k) {
              co_await h::sleep(std::chrono::microseconds(random() % 500));
              if (number.get() != mine || word.get() != std::to_string(mine)) ++wrong;
              number.set(mine);
              auto child = h::create_task(
                  [](int mine) -> h::task<bool> {
                    co_await h::yield_now();
                    co_return number.get() == mine;
                  },
                  mine);
              if (!co_await child) ++wrong;
            }
          },
          i, std::ref(wrong)));
    for (auto& t : all) co_await t;
    EQUAL(wrong.load(), 0);
    HOLDS(!number.try_get());
  });
}

TEST_P(CTX, CTX_05_ACallOnAThreadSeesACopyAndItsChangesDoNotComeBack) {
  run([]() -> h::task<> {
    number.set(5);
    auto seen = h::to_thread([] {
      const int before = number.get();
      number.set(6);
      return before * 10 + number.get();
    });
    EQUAL(co_await std::move(seen), 56);
    EQUAL(number.get(), 5);
    // The thread is used again, and has kept nothing; a thread of one's own begins with nothing.
    auto in_context = h::to_thread([] { return h::context().run([] { return number.get(0); }); });
    EQUAL(co_await std::move(in_context), 0);
    int outside = -1;
    std::thread own([&] {
      outside = number.get(0);
      number.set(8);
    });
    own.join();
    EQUAL(outside, 0);
    EQUAL(number.get(), 5);
  });
}

TEST_P(CTX, CTX_06_TheExceptionHandlerSeesTheContextOfWhatFailed) {
  std::mutex lock;
  std::vector<int> seen;
  options.exception_handler = [&](const h::error_context&) {
    std::lock_guard hold(lock);
    seen.push_back(number.get(0));
  };
  run([]() -> h::task<> {
    number.set(1);
    h::promise<> ran;
    auto f = ran.get_future();
    h::current_loop().call_soon([p = std::move(ran)]() mutable {
      number.set(10);
      p.set_value();
      throw error_e();
    });
    co_await f;
    auto t = h::create_task([]() -> h::task<> {
      number.set(20);
      co_await h::yield_now();
      throw error_f();
    });
    co_await until_done(t);
    t = {};
    EQUAL(number.get(), 1);
  });
  std::lock_guard hold(lock);
  std::sort(seen.begin(), seen.end());
  EQUAL(seen, (std::vector{10, 20}));
}

}  // namespace
