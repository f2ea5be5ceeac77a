// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/core/context.h>

#include <algorithm>
#include <thread>

namespace {

using namespace conformance;

class EAGER : public ::conformance::cases {
 protected:
  /// asyncio's eager_task_factory.
  void be_eager() {
    options.task_factory = [](h::task_options& o) { o.eager = true; };
  }
};
HEDDLE_AT_LOOPS(EAGER);

h::context_var<int> number{"number"};

TEST_P(EAGER, EAGER_01_ABodyThatNeverSuspendsIsDoneWhenItIsMade) {
  be_eager();
  run([]() -> h::task<> {
    std::atomic<bool> others_ran{false};
    h::current_loop().call_soon([&] { others_ran = true; });
    auto t = h::create_task([]() -> h::task<int> { co_return 42; });
    HOLDS(t.done());
    HOLDS(!others_ran);
    HOLDS(!t.cancel());
    EQUAL(co_await t, 42);
    HOLDS(!others_ran);
    auto failed = h::create_task([]() -> h::task<> {
      throw error_e();
      co_return;
    });
    HOLDS(failed.done());
    EQUAL(co_await ending(failed), "E");
    co_await until([&] { return others_ran.load(); });
  });
}

TEST_P(EAGER, EAGER_02_TheFirstPartRunsBeforeTheCreatorGoesOn) {
  be_eager();
  journal log;
  run(
      [](journal& log) -> h::task<> {
        auto t = h::create_task(
            [](journal& log) -> h::task<> {
              log.add("first");
              co_await h::yield_now();
              log.add("rest");
            },
            std::ref(log));
        log.add("creator");
        co_await t;
      },
      log);
  const auto lines = log.lines();
  EQUAL(lines.at(0), "first");
  EQUAL(lines.size(), 3u);
  if (one_loop()) EQUAL(log.joined(), "first creator rest");
}

TEST_P(EAGER, EAGER_03_TheNewTaskIsCurrentAndListedWhileItsFirstStepRuns) {
  be_eager();
  run([]() -> h::task<> {
    const auto creator = h::current_task();
    const auto listed = [](const h::any_task& t) {
      const auto all = h::all_tasks();
      return std::find(all.begin(), all.end(), t) != all.end();
    };
    h::any_task inside;
    bool was_listed = false;
    auto quick = h::create_task(
        [](h::any_task& inside, bool& was_listed, auto listed) -> h::task<> {
          inside = h::current_task();
          was_listed = listed(inside);
          co_return;
        },
        std::ref(inside), std::ref(was_listed), listed);
    HOLDS(inside == quick);
    HOLDS(was_listed);
    HOLDS(h::current_task() == creator);
    HOLDS(quick.done());
    HOLDS(!listed(quick));
    HOLDS(listed(creator));
    // One that suspends stays listed, and is itself after the suspension.
    h::promise<> gate;
    auto slow = h::create_task(
        [](h::future<> f) -> h::task<bool> {
          const auto self = h::current_task();
          co_await f;
          co_return h::current_task() == self;
        },
        gate.get_future());
    HOLDS(h::current_task() == creator);
    HOLDS(listed(slow));
    gate.set_value();
    HOLDS(co_await slow);
    HOLDS(h::current_task() == creator);
  });
}

TEST_P(EAGER, EAGER_05_OneWhoseFirstStepBlocksIsCancelledAtThatAwait) {
  be_eager();
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(200); ++i) {
      std::string seen;
      auto t = h::create_task(
          [](std::string& seen) -> h::task<> {
            try {
              co_await h::sleep(1h);
            } catch (const h::cancelled_error& e) {
              seen = e.message();
              throw;
            }
          },
          std::ref(seen));
      HOLDS(!t.done());
      HOLDS(t.cancel("m"));
      EQUAL(co_await ending(t), "Cancelled: m");
      EQUAL(seen, "m");
    }
    // The same at a future, which it cancels.
    h::promise<int> p;
    auto f = p.get_future();
    auto t = h::create_task([](h::future<int> f) -> h::task<int> { co_return co_await f; }, f);
    t.cancel("m");
    EQUAL(co_await ending(t), "Cancelled: m");
    HOLDS(f.cancelled());
  });
}

TEST_P(EAGER, EAGER_06_WhatItSetsIsItsOwn) {
  be_eager();
  run([]() -> h::task<> {
    number.set(1);
    auto t = h::create_task([]() -> h::task<int> {
      const int before = number.get();
      number.set(2);
      co_await h::yield_now();
      co_return before * 10 + number.get();
    });
    EQUAL(number.get(), 1);
    EQUAL(co_await t, 12);
    EQUAL(number.get(), 1);
    // Also when it is made where a context of its own is in force.
    h::context other;
    h::task_handle<int> inner;
    other.run([&] {
      number.set(5);
      inner = h::create_task([]() -> h::task<int> {
        number.set(number.get() + 1);
        co_return number.get();
      });
      EQUAL(number.get(), 5);
    });
    EQUAL(co_await inner, 6);
    EQUAL(number.get(), 1);
  });
}

TEST_P(EAGER, EAGER_07_AGatherOfBodiesThatDoNotSuspendIsDoneAtOnce) {
  be_eager();
  run([]() -> h::task<> {
    const auto give = [](int v) -> h::task<int> { co_return v; };
    auto all = h::gather(give(1), give(2), give(3));
    HOLDS(all.done());
    const auto [a, b, c] = co_await all;
    EQUAL(a * 100 + b * 10 + c, 123);
    std::vector<h::task<int>> many;
    for (int i = 0; i < 5; ++i) many.push_back(give(i));
    auto range = h::gather(std::move(many));
    HOLDS(range.done());
    const auto got = co_await range;
    EQUAL(got, (std::vector{0, 1, 2, 3, 4}));
  });
}

TEST_P(EAGER, EAGER_10_TheFlagOfOneTaskDecidesAndWithoutARunningLoopItIsIgnored) {
  run([]() -> h::task<> {
    const auto me = std::this_thread::get_id();
    std::atomic<bool> in_call{true};
    std::atomic<bool> inside{false};
    auto body = [](std::thread::id me, std::atomic<bool>& in_call,
                   std::atomic<bool>& inside) -> h::task<> {
      inside = in_call && std::this_thread::get_id() == me;
      co_return;
    };
    auto eager = h::create_task(body(me, in_call, inside), {.eager = true});
    HOLDS(inside.load());
    HOLDS(eager.done());
    auto normal = h::create_task(body(me, in_call, inside), {.eager = false});
    in_call = false;
    co_await normal;
    HOLDS(!inside);
  });
  be_eager();
  h::runtime rt(with());
  const auto me = std::this_thread::get_id();
  auto where = []() -> h::task<std::thread::id> { co_return std::this_thread::get_id(); };
  HOLDS(rt.run(where()) != me);
  HOLDS(rt.submit(where()).get() != me);
  auto lost = []() -> h::task<> { co_return; };
  THROWS(h::no_running_loop, h::create_task(lost(), {.eager = true}));
}

}  // namespace
