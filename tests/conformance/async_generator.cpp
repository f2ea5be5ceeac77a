// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/core/context.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/with.h>

#include <thread>

namespace {

using namespace conformance;

CASES(AGEN);

h::context_var<int> number{"number"};

h::async_generator<int> count(int n) {
  for (int i = 0; i < n; ++i) {
    if (i % 3 == 1) co_await h::yield_now();
    if (i % 3 == 2) co_await h::sleep(100us);
    co_yield i;
  }
}

/// What is written when a scope ends.
struct mark {
  journal& log;
  std::string line;
  ~mark() { log.add(line); }
};

/// Yields 1, 2, ...; its cleanup awaits.
h::async_generator<int> with_cleanup(journal& log, std::string name = "") {
  mark destroyed{log, "destroyed" + name};
  std::exception_ptr error;
  try {
    for (int i = 1;; ++i) co_yield i;
  } catch (...) { error = std::current_exception(); }
  log.add("cleanup" + name);
  co_await h::yield_now();
  co_await h::sleep(200us);
  log.add("cleaned" + name);
  if (error) std::rethrow_exception(error);
}

TEST_P(AGEN, AGEN_01_ItsValuesComeInOrderAndThenItsEnd) {
  run([]() -> h::task<> {
    auto gen = count(10);
    std::vector<int> got;
    while (auto* item = co_await gen.next()) got.push_back(*item);
    EQUAL(got, (std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
    HOLDS(gen.done());
    HOLDS(co_await gen.next() == nullptr);
    HOLDS(co_await gen.next() == nullptr);
    int sum = 0;
    auto all = h::for_each(count(5), [&](int v) { sum += v; });
    co_await std::move(all);
    EQUAL(sum, 10);
    auto kept = count(4);
    auto slow = h::for_each(kept, [&](int& v) -> h::task<> {
      co_await h::yield_now();
      sum += v;
    });
    co_await std::move(slow);
    EQUAL(sum, 16);
  });
}

TEST_P(AGEN, AGEN_01_ItRunsInTheTaskThatAsks) {
  run([]() -> h::task<> {
    auto who = []() -> h::async_generator<h::any_task> {
      for (;;) {
        co_await h::yield_now();
        co_yield h::current_task();
      }
    };
    auto gen = who();
    auto ask = [](h::async_generator<h::any_task>& gen) -> h::task<bool> {
      auto* seen = co_await gen.next();
      co_return *seen == h::current_task();
    };
    for (int i = 0; i < 20; ++i) {
      auto t = h::create_task(ask(gen));
      HOLDS(co_await t);
    }
    auto [a] = co_await h::fork_join(ask(gen));
    HOLDS(a);
    // A cancellation of that task reaches what the generator awaits, and ends it.
    auto endless = []() -> h::async_generator<int> {
      co_yield 1;
      co_await h::sleep(1h);
      co_yield 2;
    };
    auto sleeper = endless();
    auto consumer = h::create_task(
        [](h::async_generator<int>& gen) -> h::task<> {
          int seen = 0;
          while (co_await gen.next()) ++seen;
          EQUAL(seen, 1);
        },
        std::ref(sleeper));
    co_await until_waiting(consumer);
    // Two in it at once: one too many.
    std::string second;
    try {
      (void)co_await sleeper.next();
    } catch (...) { second = name_of(std::current_exception()); }
    EQUAL(second, "Usage");
    auto early = sleeper.aclose();
    EQUAL(co_await ending(std::move(early)), "Usage");
    consumer.cancel("m");
    EQUAL(co_await ending(consumer), "Cancelled: m");
    HOLDS(sleeper.done());
    auto closing = gen.aclose();
    co_await std::move(closing);
  });
}

TEST_P(AGEN, AGEN_01_ValuesAreMovedCopiedOrReferred) {
  run([]() -> h::task<> {
    auto owners = []() -> h::async_generator<std::unique_ptr<int>> {
      for (int i = 0; i < 3; ++i) co_yield std::make_unique<int>(i);
    };
    int sum = 0;
    auto gen = owners();
    while (auto* item = co_await gen.next()) {
      auto mine = std::move(*item);
      sum += *mine;
    }
    EQUAL(sum, 3);
    auto words = []() -> h::async_generator<std::string> {
      std::string word = "a word that is longer than any small string";
      co_yield word;
      co_yield word;
    };
    auto w = words();
    auto* first = co_await w.next();
    const std::string taken = std::move(*first);
    auto* second = co_await w.next();
    EQUAL(taken, *second);
    std::vector<int> numbers{1, 2, 3};
    auto refer = [](std::vector<int>& all) -> h::async_generator<int&> {
      for (int& n : all) co_yield n;
    };
    auto r = refer(numbers);
    while (auto* n = co_await r.next()) *n *= 2;
    EQUAL(numbers, (std::vector{2, 4, 6}));
    auto fails = []() -> h::async_generator<int> {
      co_yield 1;
      throw error_e();
    };
    auto f = fails();
    std::string end;
    try {
      while (co_await f.next()) {}
    } catch (...) { end = name_of(std::current_exception()); }
    EQUAL(end, "E");
    HOLDS(co_await f.next() == nullptr);
    auto leave = co_await w.next();
    HOLDS(leave == nullptr);
  });
}

TEST_P(AGEN, AGEN_02_ClosingRunsTheCleanupOnceWithItsAwaits) {
  run([]() -> h::task<> {
    journal log;
    auto gen = with_cleanup(log);
    auto* item = co_await gen.next();
    EQUAL(*item, 1);
    auto first = gen.aclose();
    co_await std::move(first);
    EQUAL(log.joined(), "cleanup cleaned destroyed");
    auto second = gen.aclose();
    co_await std::move(second);
    EQUAL(log.joined(), "cleanup cleaned destroyed");
    HOLDS(co_await gen.next() == nullptr);
    HOLDS(gen.done());
    // What the cleanup throws comes out of aclose().
    auto fails = []() -> h::async_generator<int> {
      try {
        co_yield 1;
      } catch (const h::generator_exit&) { throw error_e(); }
    };
    auto f = fails();
    (void)co_await f.next();
    auto closing = f.aclose();
    EQUAL(co_await ending(std::move(closing)), "E");
    // One that catches it and returns is closed, too; a handler of ordinary errors does not see it.
    bool seen = false;
    auto returns = [](bool& seen) -> h::async_generator<int> {
      try {
        co_yield 1;
      } catch (const std::exception&) { seen = true; } catch (const h::generator_exit&) {
        co_return;
      }
    };
    auto r = returns(seen);
    (void)co_await r.next();
    auto quiet = r.aclose();
    EQUAL(co_await ending(std::move(quiet)), "value");
    HOLDS(!seen);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(AGEN, AGEN_03_OneThatNeverStartedNeverRuns) {
  run([]() -> h::task<> {
    journal log;
    auto held = std::make_shared<int>(0);
    auto body = [](journal& log, std::shared_ptr<int>) -> h::async_generator<int> {
      mark m{log, "destroyed"};
      log.add("began");
      try {
        co_yield 1;
      } catch (...) { log.add("cleanup"); }
    };
    {
      auto gen = body(log, held);
      auto closing = gen.aclose();
      co_await std::move(closing);
      HOLDS(co_await gen.next() == nullptr);
    }
    EQUAL(held.use_count(), 1);
    { auto dropped = body(log, held); }
    EQUAL(held.use_count(), 1);
    EQUAL(log.joined(), "");
  });
}

TEST_P(AGEN, AGEN_04_ABreakDoesNotCloseItButTheEndOfTheRunDoes) {
  journal log;
  h::async_generator<int> gen;
  run(
      [](journal& log, h::async_generator<int>& gen) -> h::task<> {
        gen = with_cleanup(log);
        int last = 0;
        while (auto* item = co_await gen.next()) {
          last = *item;
          if (last == 3) break;
        }
        co_await settle();
        EQUAL(log.joined(), "");
        auto* next = co_await gen.next();
        EQUAL(*next, 4);
      },
      log, gen);
  EQUAL(log.joined(), "cleanup cleaned destroyed");
  HOLDS(gen.done());
  EQUAL(report_count(), 0u);
}

TEST_P(AGEN, AGEN_07_ShutdownClosesAllAndReportsWhatACleanupThrows) {
  journal log;
  h::async_generator<int> good, bad;
  run(
      [](journal& log, h::async_generator<int>& good, h::async_generator<int>& bad) -> h::task<> {
        good = with_cleanup(log);
        auto fails = []() -> h::async_generator<int> {
          try {
            co_yield 1;
          } catch (...) {}
          co_await h::yield_now();
          throw error_e();
        };
        bad = fails();
        (void)co_await good.next();
        (void)co_await bad.next();
      },
      log, good, bad);
  EQUAL(log.joined(), "cleanup cleaned destroyed");
  HOLDS(good.done() && bad.done());
  EQUAL(report_count(), 1u);
  EQUAL(name_of(reports().at(0).error), "E");
}

TEST_P(AGEN, AGEN_08_OneThatYieldsAgainWhileItIsClosedIsAUsageError) {
  run([]() -> h::task<> {
    journal log;
    auto stubborn = [](journal& log) -> h::async_generator<int> {
      mark m{log, "destroyed"};
      try {
        co_yield 1;
      } catch (const h::generator_exit&) {}
      co_await h::yield_now();
      co_yield 2;
      log.add("went on");
    };
    {
      auto gen = stubborn(log);
      (void)co_await gen.next();
      auto closing = gen.aclose();
      EQUAL(co_await ending(std::move(closing)), "Usage");
      HOLDS(co_await gen.next() == nullptr);
      auto again = gen.aclose();
      EQUAL(co_await ending(std::move(again)), "value");
    }
    EQUAL(log.joined(), "destroyed");
  });
}

TEST_P(AGEN, AGEN_09_OneThatIsDestroyedAtAYieldIsClosedByTheRuntime) {
  journal log;
  run(
      [](journal& log) -> h::task<> {
        // Destructors alone: they have run when the object is gone.
        auto plain = [](journal& log) -> h::async_generator<int> {
          mark m{log, "destroyed"};
          co_yield 1;
        };
        {
          auto gen = plain(log);
          (void)co_await gen.next();
        }
        EQUAL(log.joined(), "destroyed");
        // A cleanup that awaits is a task of its own.
        {
          auto gen = with_cleanup(log, "2");
          (void)co_await gen.next();
        }
        EQUAL(log.joined(), "destroyed cleanup2");
        co_await until([&] { return log.lines().size() == 4; });
        EQUAL(log.joined(), "destroyed cleanup2 cleaned2 destroyed2");
        // Also when the loop is left by an error; and by a thread that is no loop.
        std::string end;
        try {
          auto gen = with_cleanup(log, "3");
          while (co_await gen.next()) throw error_e();
        } catch (...) { end = name_of(std::current_exception()); }
        EQUAL(end, "E");
        co_await until([&] { return log.lines().size() == 7; });
        auto gen = with_cleanup(log, "4");
        (void)co_await gen.next();
        std::thread([gone = std::move(gen)]() mutable { auto dead = std::move(gone); }).join();
        co_await until([&] { return log.lines().size() == 10; });
        // One whose cleanup is still to come when the run ends is waited for.
        auto last = with_cleanup(log, "5");
        (void)co_await last.next();
      },
      log);
  EQUAL(log.joined(),
        "destroyed cleanup2 cleaned2 destroyed2 cleanup3 cleaned3 destroyed3 cleanup4 cleaned4 "
        "destroyed4 "
        "cleanup5 cleaned5 destroyed5");
  EQUAL(report_count(), 0u);
}

TEST_P(AGEN, AGEN_09_WhereNobodyCanCloseItItsDestructorsRunAndThatIsReported) {
  // Begun in the shutdown of generators, so that the runtime does not know it, and destroyed after
  // the runtime.
  journal log;
  h::async_generator<int> late, early;
  run(
      [](journal& log, h::async_generator<int>& early, h::async_generator<int>& late) -> h::task<> {
        auto begins_another = [](journal& log,
                                 h::async_generator<int>& late) -> h::async_generator<int> {
          try {
            co_yield 1;
          } catch (const h::generator_exit&) {}
          late = with_cleanup(log);
          (void)co_await late.next();
        };
        early = begins_another(log, late);
        (void)co_await early.next();
      },
      log, early, late);
  EQUAL(report_count(), 1u);  // that nobody will close it
  EQUAL(log.joined(), "");
  testing::internal::CaptureStderr();
  late = {};
  const auto said = testing::internal::GetCapturedStderr();
  EQUAL(log.joined(), "destroyed");
  HOLDS(said.find("generator") != std::string::npos);
}

TEST_P(AGEN, AGEN_09_ManyAreDroppedAndClosedWhileTheRuntimeEnds) {
  for (int round = 0; round < rounds(50); ++round) {
    std::atomic<int> alive{0};
    struct counted {
      std::atomic<int>& n;
      explicit counted(std::atomic<int>& c) : n(c) { ++n; }
      ~counted() { --n; }
    };
    auto body = [](std::atomic<int>& alive) -> h::async_generator<int> {
      counted c(alive);
      std::exception_ptr error;
      try {
        for (int i = 0;; ++i) co_yield i;
      } catch (...) { error = std::current_exception(); }
      co_await h::yield_now();
      std::rethrow_exception(error);
    };
    std::vector<h::async_generator<int>> kept(20);
    std::thread drops;
    run(
        [](auto body, std::atomic<int>& alive, auto& kept, std::thread& drops) -> h::task<> {
          for (auto& gen : kept) {
            gen = body(alive);
            (void)co_await gen.next();
          }
          for (int i = 0; i < 20; ++i) {
            auto t = h::create_task(
                [](auto gen) -> h::task<> {
                  (void)co_await gen.next();
                  co_await h::sleep(1h);
                },
                body(alive));
            (void)t;
          }
          drops = std::thread([&kept] {
            for (auto& gen : kept) gen = {};
          });
        },
        body, alive, kept, drops);
    drops.join();
    EQUAL(alive.load(), 0);
  }
}

TEST_P(AGEN, AGEN_10_OneThatBeginsAfterTheShutdownOfGeneratorsIsAResourceWarning) {
  run([]() -> h::task<> {
    co_await h::current_runtime().shutdown_async_generators();
    auto gen = count(2);
    int n = 0;
    while (co_await gen.next()) ++n;
    EQUAL(n, 2);
  });
  EQUAL(report_count(), 1u);
  HOLDS(reports().at(0).message.find("generator") != std::string::npos);
  HOLDS(!reports().at(0).error);
}

}  // namespace
