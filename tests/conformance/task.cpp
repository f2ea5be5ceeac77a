// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/core/context.h>
#include <heddle/sched/ensure_future.h>

#include <algorithm>
#include <thread>

namespace {

using namespace conformance;

CASES(TASK);

h::context_var<int> number{"number"};

h::task<int> give(int v) { co_return v; }
h::task<int> give_later(int v) {
  co_await h::yield_now();
  co_return v;
}
h::task<> fail_later() {
  co_await h::yield_now();
  throw error_e();
}

TEST_P(TASK, TASK_01_OneDoesNotRunInsideTheCallThatMakesIt) {
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(200); ++i) {
      const auto creator = std::this_thread::get_id();
      std::atomic<bool> in_call{true}, ran_on_our_stack{false}, ran{false};
      auto t = h::create_task([&]() -> h::task<> {
        ran = true;
        ran_on_our_stack = in_call && std::this_thread::get_id() == creator;
        co_return;
      });
      if (one_loop()) HOLDS(!ran);
      in_call = false;
      co_await t;
      HOLDS(ran && !ran_on_our_stack);
    }
  });
}

TEST_P(TASK, TASK_02_FirstStepsComeInTheOrderOfCreation) {
  journal log;
  run(
      [](journal& log) -> h::task<> {
        std::vector<h::task_handle<>> all;
        for (int i = 0; i < 5; ++i)
          all.push_back(h::create_task(
              [](journal& log, int i) -> h::task<> {
                log.add(std::to_string(i));
                co_await h::yield_now();
              },
              std::ref(log), i));
        co_await h::yield_now();
        if (one_loop()) EQUAL(log.joined(), "0 1 2 3 4");
        for (auto& t : all) co_await t;
        EQUAL(log.lines().size(), 5u);
      },
      log);
}

TEST_P(TASK, TASK_03_ItsResultMayBeAwaitedAnyNumberOfTimes) {
  run([]() -> h::task<> {
    auto value = h::create_task(give_later(42));
    auto error = h::create_task(fail_later());
    int& first = co_await value;
    int& second = co_await value;
    EQUAL(first, 42);
    EQUAL(&first, &second);
    std::vector<const void*> errors;
    for (int i = 0; i < 2; ++i) try {
        co_await error;
      } catch (const error_e& e) { errors.push_back(&e); }
    EQUAL(errors.size(), 2u);
    EQUAL(errors.front(), errors.back());
    // From several tasks, some of which wait before its end.
    h::promise<int> gate;
    auto slow = h::create_task([](h::future<int> f) -> h::task<int> { co_return co_await f; },
                               gate.get_future());
    std::vector<h::task_handle<int>> all;
    for (int i = 0; i < 10; ++i) {
      all.push_back(h::create_task(
          [](h::task_handle<int> t) -> h::task<int> { co_return co_await t; }, slow));
      if (i == 5) {
        co_await until_waiting(all.back());
        gate.set_value(7);
      }
    }
    for (auto& t : all) EQUAL(co_await t, 7);
    // A done one does not suspend.
    std::atomic<bool> ran{false};
    h::current_loop().call_soon([&] { ran = true; });
    EQUAL(co_await slow, 7);
    EQUAL(co_await value, 42);
    EQUAL(co_await ending(error), "E");
    HOLDS(!ran);
    co_await until([&] { return ran.load(); });
  });
}

template <class H>
concept can_be_set = requires(H t) { t.set_result(1); } || requires(H t) { t.set_value(1); } ||
                     requires(H t) { t.set_exception(std::exception_ptr()); };

// Only its body ends a task: a handle has no way to, which the compiler says before anybody has to
// throw.
TEST_P(TASK, TASK_04_NobodyElseCanSetItsResult) {
  run([]() -> h::task<> {
    HOLDS(!can_be_set<h::task_handle<int>>);
    HOLDS(!can_be_set<h::any_task>);
    HOLDS(can_be_set<h::promise<int>>);
    auto t = h::create_task(give_later(1));
    EQUAL(co_await t, 1);
  });
}

TEST_P(TASK, TASK_05_AwaitingItselfIsAUsageErrorInsideTheTask) {
  run([]() -> h::task<> {
    h::task_handle<> self;
    h::promise<> ready;
    std::string inside;
    self = h::create_task(
        [](h::task_handle<>& self, h::future<> ready, std::string& inside) -> h::task<> {
          co_await ready;
          inside = co_await ending(self);
          co_await self;
        },
        std::ref(self), ready.get_future(), std::ref(inside));
    ready.set_value();
    auto t = self;
    EQUAL(co_await ending(t), "Usage");
    EQUAL(inside, "Usage");
  });
}

TEST_P(TASK, TASK_06_NamesAreKeptAndDefaultsAreUniqueAndIncreasing) {
  run([]() -> h::task<> {
    auto named = h::create_task(give(1), {.name = "mine"});
    auto a = h::create_task(give(1));
    auto b = h::create_task(give(1));
    EQUAL(named.get_name(), "mine");
    const auto first = a.get_name(), second = b.get_name();
    HOLDS(first.starts_with("task-") && second.starts_with("task-"));
    HOLDS(std::stoull(first.substr(5)) < std::stoull(second.substr(5)));
    EQUAL(a.get_name(), first);
    named.set_name("other");
    EQUAL(named.get_name(), "other");
    b.set_name("");
    h::current_task().set_name("the caller");
    EQUAL(h::current_task().get_name(), "the caller");
    co_await named;
    co_await a;
    co_await b;
    EQUAL(named.get_name(), "other");
  });
}

TEST_P(TASK, TASK_07_TheCurrentTaskIsTheTaskItselfAfterEveryResume) {
  HOLDS(!h::current_task().valid());
  run([]() -> h::task<> {
    struct two {
      h::promise<int> promises[2];
      std::atomic<int> wrong{0};
    };
    for (int round = 0; round < rounds(200); ++round) {
      two shared;
      auto body = [](two& s, int me) -> h::task<> {
        const auto self = h::current_task();
        self.set_name(std::to_string(me));
        auto theirs = s.promises[1 - me].get_future();
        s.promises[me].set_value(me);
        (void)co_await theirs;
        if (h::current_task() != self || self.get_name() != std::to_string(me)) ++s.wrong;
        for (int k = 0; k < 5; ++k) {
          co_await h::yield_now();
          if (h::current_task() != self) ++s.wrong;
        }
      };
      auto a = h::create_task(body, std::ref(shared), 0);
      auto b = h::create_task(body, std::ref(shared), 1);
      co_await a;
      co_await b;
      EQUAL(shared.wrong.load(), 0);
    }
    h::promise<bool> seen;
    auto f = seen.get_future();
    h::current_loop().call_soon(
        [p = std::move(seen)]() mutable { p.set_value(h::current_task().valid()); });
    HOLDS(!co_await f);
  });
}

TEST_P(TASK, TASK_08_AllTasksAreExactlyThoseThatHaveNotEnded) {
  run([]() -> h::task<> {
    auto& rt = h::current_runtime();
    h::promise<> gate;
    std::vector<h::task_handle<>> pending, ended;
    for (unsigned i = 0; i < 20; ++i) {
      h::task_options o;
      if (i % 2) o.loop = &rt.loop(i % rt.loop_count());
      pending.push_back(
          h::create_task(o, [](h::future<> f) -> h::task<> { co_await f; }, gate.get_future()));
      ended.push_back(h::create_task(o, []() -> h::task<> { co_return; }));
    }
    for (auto& t : ended) co_await t;
    auto all = h::all_tasks();
    EQUAL(all.size(), 21u);
    const auto listed = [&](const h::any_task& t) {
      return std::find(all.begin(), all.end(), t) != all.end();
    };
    HOLDS(listed(h::current_task()));
    for (const auto& t : pending) HOLDS(listed(t));
    for (const auto& t : ended) HOLDS(!listed(t));
    gate.set_value();
    for (auto& t : pending) co_await t;
    EQUAL(h::all_tasks().size(), 1u);
  });
}

TEST_P(TASK, TASK_09_EnsureFutureMakesATaskOnlyOfWhatIsNotOneYet) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    HOLDS(h::ensure_future(f) == f);
    auto t = h::create_task(give_later(1));
    HOLDS(h::ensure_future(t) == t);
    auto fresh = h::ensure_future(give_later(2));
    HOLDS(fresh != t);
    HOLDS(!fresh.done() || !one_loop());
    EQUAL(co_await fresh, 2);
    co_await t;
  });
}

TEST_P(TASK, TASK_10_ADroppedHandleDoesNotStopIt) {
  run([]() -> h::task<> {
    std::atomic<bool> logged{false};
    {
      auto t = h::create_task(
          [](std::atomic<bool>& logged) -> h::task<> {
            co_await h::sleep(1ms);
            logged = true;
          },
          std::ref(logged));
    }
    co_await until([&] { return logged.load(); });
    HOLDS(logged.load());
  });
}

TEST_P(TASK, TASK_11_AFutureAsItsResultIsYieldedAsItIs) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    auto t = h::create_task(
        [](h::future<int> f) -> h::task<h::future<int>> {
          co_await h::yield_now();
          co_return f;
        },
        f);
    auto got = co_await t;
    HOLDS(got == f);
    HOLDS(!got.done());
    p.set_value(3);
    EQUAL(co_await got, 3);
  });
}

TEST_P(TASK, TASK_14_NestedPlainCallsMakeNoTaskAndUseNoPass) {
  run([]() -> h::task<> {
    struct nest {
      static h::task<int> down(int n) {
        if (n == 0) co_return 0;
        co_return 1 + co_await down(n - 1);
      }
    };
    const auto made = [] {
      std::uint64_t n = 0;
      for (const auto& l : h::current_runtime().stats().loops) n += l.created;
      return n;
    };
    std::atomic<bool> ran{false};
    h::current_loop().call_soon([&] { ran = true; });
    const auto before = made();
    EQUAL(co_await nest::down(100), 100);
    EQUAL(made(), before);
    HOLDS(!ran);
    co_await until([&] { return ran.load(); });
  });
}

TEST_P(TASK, TASK_16_ADoneCallbackRunsOnceAfterItReadsAsDone) {
  run([]() -> h::task<> {
    auto value = h::create_task(give_later(1));
    auto error = h::create_task(fail_later());
    auto cancelled = h::create_task(sleep_long());
    std::atomic<int> called{0}, wrong{0};
    value.add_done_callback([&](h::task_handle<int> t) {
      if (t != value || !t.done() || t.result() != 1) ++wrong;
      ++called;
    });
    error.add_done_callback([&](h::task_handle<> t) {
      if (t != error || !t.done() || name_of(t.exception()) != "E") ++wrong;
      ++called;
    });
    cancelled.add_done_callback([&](h::task_handle<> t) {
      if (t != cancelled || !t.cancelled()) ++wrong;
      ++called;
    });
    cancelled.cancel();
    co_await until([&] { return called == 3; });
    co_await settle();
    EQUAL(called.load(), 3);
    EQUAL(wrong.load(), 0);
    // Added to one that is done: later, never inside the call.
    std::atomic<bool> late{false};
    bool in_call = true, inside = false;
    value.add_done_callback([&] {
      inside = in_call;
      late = true;
    });
    HOLDS(!late);
    in_call = false;
    co_await until([&] { return late.load(); });
    HOLDS(!inside);
  });
}

TEST_P(TASK, TASK_17_EveryOneOfAMillionRunsOnceAndMoreThanOneLoopTakesPart) {
  const auto n = static_cast<std::size_t>(rounds(1'000'000));
  run(
      [](std::size_t n) -> h::task<> {
        std::vector<std::atomic<std::uint8_t>> runs(n);
        std::vector<h::task_handle<>> all;
        all.reserve(n);
        for (std::size_t i = 0; i < n; ++i)
          all.push_back(h::create_task(
              [](std::atomic<std::uint8_t>& mine) -> h::task<> {
                ++mine;
                co_return;
              },
              std::ref(runs[i])));
        for (auto& t : all) co_await t;
        EQUAL(std::count_if(runs.begin(), runs.end(), [](auto& r) { return r != 1; }), 0);
        if (!one_loop()) {
          // Two that wait for each other without giving their loops up: only two loops can run
          // them.
          std::atomic<int> left{2};
          auto meet = [](std::atomic<int>& left) -> h::task<unsigned> {
            --left;
            while (left != 0) std::this_thread::yield();
            co_return h::current_loop().index();
          };
          auto a = h::create_task(meet, std::ref(left));
          auto b = h::create_task(meet, std::ref(left));
          HOLDS(co_await a != co_await b);
        }
      },
      n);
}

TEST_P(TASK, TASK_18_OneThatMovesTakesAllThatIsItsWithIt) {
  if (one_loop()) {
    HOLDS(true);  // there is nowhere to move to
    return;
  }
  run([]() -> h::task<> {
    std::atomic<bool> moved{false};
    auto traveller = [](std::atomic<bool>& moved) -> h::task<unsigned> {
      const auto self = h::current_task();
      const unsigned home = h::current_loop().index();
      number.set(17);
      h::task_options o;
      o.loop = &h::current_loop();
      // Holds the loop until the traveller, which waits in its queue, has been stolen.
      auto hog = h::create_task(
          o,
          [](std::atomic<bool>& moved) -> h::task<> {
            while (!moved) std::this_thread::yield();
            co_return;
          },
          std::ref(moved));
      while (h::current_loop().index() == home) co_await h::yield_now();
      HOLDS(h::current_task() == self);
      EQUAL(self.get_name(), "traveller");
      EQUAL(number.get(), 17);
      EQUAL(self.cancelling(), 0u);
      // Nothing of it is left behind.
      moved = true;
      co_await hog;
      auto& rt = h::current_runtime();
      h::promise<bool> seen;
      auto f = seen.get_future();
      std::thread([&rt, home, p = std::move(seen)]() mutable {
        rt.loop(home).call_soon([p = std::move(p)]() mutable {
          p.set_value(h::current_task().valid() || number.try_get());
        });
      }).join();
      HOLDS(!co_await f);
      co_return home;
    };
    auto t = h::create_task({.name = "traveller"}, traveller, std::ref(moved));
    const auto home = co_await t;
    h::task_options there;
    there.loop = &h::current_runtime().loop(home);
    there.name = "probe";
    auto probe = h::create_task(there, []() -> h::task<bool> {
      co_return h::current_task().get_name() == "probe" && !number.try_get();
    });
    HOLDS(co_await probe);
    HOLDS(!number.try_get());
  });
}

}  // namespace
