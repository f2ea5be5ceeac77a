// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/threads.h>

#include <heddle/sched/to_thread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace conformance;
using support::comes;
using support::gate;

CASES(XTHR);

TEST_P(XTHR, XTHR_01_ACallbackWakesASleepingLoop) {
  h::runtime rt(with());
  for (int i = 0; i < rounds(100); ++i) {
    for (unsigned l = 0; l < loops(); ++l) {
      std::atomic<bool> ran{false};
      if (i % 10 == 0)
        std::this_thread::sleep_for(300us);  // it falls asleep; too short, it would only show less
      rt.loop(l).call_soon([&] { ran = true; });
      HOLDS(comes([&] { return ran.load(); }));
    }
  }
}

TEST_P(XTHR, XTHR_02_OneThreadsCallbacksRunInItsOrder) {
  h::runtime rt(with());
  std::vector<int> seen;
  std::atomic<int> count{0};
  auto& l = rt.loop(loops() - 1);
  for (int i = 0; i < 1000; ++i)
    l.call_soon([&, i] {
      seen.push_back(i);
      ++count;
    });
  HOLDS(comes([&] { return count == 1000; }));
  int wrong = 0;
  for (int i = 0; i < 1000; ++i) wrong += seen[static_cast<std::size_t>(i)] != i ? 1 : 0;
  EQUAL(wrong, 0);
}

TEST_P(XTHR, XTHR_03_AMillionCallbacksOfFourThreadsRunOnceEachAndNoneIsStuck) {
  h::runtime rt(with());
  const int each = rounds(250'000);
  std::vector<std::atomic<int>> seen(4 * static_cast<std::size_t>(each));
  std::atomic<int> count{0};
  std::vector<std::thread> all;
  for (int t = 0; t < 4; ++t)
    all.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        auto* place = &seen[static_cast<std::size_t>(t * each + i)];
        rt.loop(static_cast<unsigned>(i) % loops()).call_soon([place, &count] {
          ++*place;
          ++count;
        });
        // Lets the loops catch up and fall asleep now and then: what comes next must wake them.
        if (i % 25'000 == 0) HOLDS(comes([&] { return count >= i; }));
      }
    });
  for (auto& t : all) t.join();
  HOLDS(comes([&] { return count == 4 * each; }));
  int wrong = 0;
  for (auto& s : seen) wrong += s != 1 ? 1 : 0;
  EQUAL(wrong, 0);
}

TEST_P(XTHR, XTHR_04_AClosedLoopRefusesPostsAndTasks) {
  h::runtime rt(with());
  auto& l = rt.loop(0);
  rt.close();
  auto body = []() -> h::task<int> { co_return 1; };
  std::thread foreign([&] {
    THROWS(h::usage_error, l.call_soon([] {}));
    THROWS(h::usage_error, l.call_later(1ms, [] {}));
    THROWS(h::usage_error, rt.submit(body()));
    THROWS(h::usage_error, rt.submit(body));
  });
  foreign.join();
}

TEST_P(XTHR, XTHR_05_AThreadGetsTheValueTheErrorOrTheCancellation) {
  h::runtime rt(with());
  EQUAL(rt.submit([]() -> h::task<int> {
            co_await h::sleep(100us);
            co_return 5;
          }).get(),
        5);
  auto failed = rt.submit([]() -> h::task<> {
    co_await h::yield_now();
    throw error_e();
  });
  THROWS(error_e, failed.get());
  THROWS(error_e, failed.get());
  auto cancelled = rt.submit([]() -> h::task<> {
    h::current_task().cancel("own");
    co_await h::sleep(1h);
  });
  std::string message;
  try {
    cancelled.get();
  } catch (const h::cancelled_error& e) { message = e.message(); }
  EQUAL(message, "own");
  HOLDS(cancelled.cancelled());
  // And the other way: cancelling the future cancels the task.
  std::atomic<int> state{0};
  auto waits = rt.submit(
      [](std::atomic<int>& s) -> h::task<> {
        s = 1;
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          s = 2;
          throw;
        }
      },
      std::ref(state));
  HOLDS(comes([&] { return state == 1; }));
  HOLDS(waits.cancel());
  THROWS(h::cancelled_error, waits.get());
  HOLDS(comes([&] { return state == 2; }));
}

TEST_P(XTHR, XTHR_08_TenThreadsGetTheirOwnAnswers) {
  h::runtime rt(with());
  std::vector<std::thread> all;
  std::atomic<int> wrong{0}, right{0};
  for (int i = 0; i < 10; ++i)
    all.emplace_back([&, i] {
      for (int k = 0; k < rounds(200); ++k) {
        auto f = rt.submit(
            [](int v) -> h::task<int> {
              if (v % 3 == 0) co_await h::yield_now();
              if (v % 5 == 0) throw std::runtime_error(std::to_string(v));
              co_return v;
            },
            i * 1000 + k);
        std::string answer;
        try {
          answer = std::to_string(f.get());
        } catch (const std::runtime_error& e) { answer = e.what(); }
        ++(answer == std::to_string(i * 1000 + k) ? right : wrong);
      }
    });
  for (auto& t : all) t.join();
  EQUAL(wrong, 0);
  EQUAL(right, 10 * rounds(200));
}

TEST_P(XTHR, XTHR_09_AnotherThreadCancelsACallbackThatHasNotStarted) {
  h::runtime rt(with());
  gate g;
  std::atomic<bool> entered{false}, ran{false}, after{false};
  auto& l = rt.loop(0);
  l.call_soon([&] {
    entered = true;
    g.pass();
  });
  HOLDS(comes([&] { return entered.load(); }));
  auto handle = l.call_soon([&] { ran = true; });
  l.call_soon([&] { after = true; });
  std::thread foreign([&] { handle.cancel(); });
  foreign.join();
  HOLDS(handle.cancelled());
  g.open();
  HOLDS(comes([&] { return after.load(); }));
  HOLDS(!ran);

  // In the race with its start it runs or is cancelled, never both, never neither.
  int both = 0;
  for (int i = 0; i < rounds(5'000); ++i) {
    std::atomic<int> runs{0};
    std::atomic<bool> later{false};
    auto one = l.call_soon([&] { ++runs; });
    l.call_soon([&] { later = true; });
    one.cancel();
    while (!later) std::this_thread::yield();
    if ((runs == 1) == one.cancelled()) ++both;
  }
  EQUAL(both, 0);
}

TEST_P(XTHR, XTHR_11_CancellingItselfWhileItRunsHasNoEffect) {
  run([]() -> h::task<> {
    std::optional<h::callback_handle> handle;
    std::atomic<bool> done{false};
    auto held = std::make_shared<int>(7);
    auto& l = h::current_loop();
    l.call_soon([&] {  // on the loop itself, so that the handle is there before the callback runs
      handle = l.call_soon([&, held] {
        handle->cancel();
        HOLDS(!handle->cancelled());
        EQUAL(*held, 7);  // what it captured is still there
        done = true;
      });
    });
    co_await until([&] { return done.load(); });
    HOLDS(!handle->cancelled());
  });
}

TEST_P(XTHR, XTHR_12_AFutureOfAThreadPoolAndItsWrappedOneEndTogether) {
  h::thread_pool pool(1);
  run(
      [](h::thread_pool& threads) -> h::task<> {
        gate g;
        std::atomic<bool> entered{false}, ran{false};
        auto busy = threads.submit([&] {
          entered = true;
          g.pass();
          return 1;
        });
        co_await until([&] { return entered.load(); });

        // The wrapped one is cancelled: so is the source, and the job never runs.
        auto source = threads.submit([&] { ran = true; });
        auto wrapped = h::wrap_future(source);
        HOLDS(wrapped.cancel());
        co_await until([&] { return source.done(); });
        HOLDS(source.cancelled());

        // The source is cancelled: so is the wrapped one, and who awaits it is told.
        auto second = threads.submit([&] { ran = true; });
        auto over = h::wrap_future(second);
        auto waits = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, over);
        co_await until_waiting(waits);
        HOLDS(second.cancel());
        EQUAL(co_await ending(waits), "Cancelled");
        HOLDS(over.cancelled());

        // A task that awaits it is cancelled: that goes all the way.
        auto third = threads.submit([&] { ran = true; });
        auto awaits =
            h::create_task([](h::future<> f) -> h::task<> { co_await f; }, h::wrap_future(third));
        co_await until_waiting(awaits);
        awaits.cancel();
        EQUAL(co_await ending(awaits), "Cancelled");
        co_await until([&] { return third.done(); });
        HOLDS(third.cancelled());

        // The value and the error arrive.
        auto value = h::wrap_future(busy);
        HOLDS(!value.done());
        g.open();
        EQUAL(co_await value, 1);
        HOLDS(!ran);
        EQUAL(co_await ending(h::wrap_future(threads.submit([] { throw error_e(); }))), "E");
        auto thing = h::wrap_future(threads.submit([] { return std::make_unique<int>(8); }));
        EQUAL(*co_await thing, 8);

        // Cancelling after the end leaves the source alone.
        HOLDS(!value.cancel());
        HOLDS(!busy.cancelled());
        EQUAL(busy.result(), 1);
        HOLDS(!busy.cancel());
      },
      std::ref(pool));
}

TEST_P(XTHR, XTHR_14_AThreadStopsItByPosting) {
  h::runtime rt(with());
  for (int i = 0; i < rounds(50); ++i) {
    std::thread foreign(
        [&] { rt.loop(static_cast<unsigned>(i) % loops()).call_soon([&] { rt.stop(); }); });
    rt.run_forever();
    foreign.join();
    HOLDS(!rt.is_closed());
  }
}

}  // namespace
