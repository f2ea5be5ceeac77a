// SPDX-License-Identifier: MIT
// stop() while a thread is in run; an interrupt that comes too late; coroutines that nobody awaits.
#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <support/loops.h>

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <csignal>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::until;

class Stop : public support::at_loops {};
class Interrupt : public support::at_loops {};
class NeverAwaited : public support::at_loops {};

// -------------------------------------------------------------------- stop

TEST_P(Stop, EndsARunAndTheNextRunFinishesItsMain) {
  h::runtime rt(with());
  h::promise<> go;
  std::atomic<bool> finished{false};
  auto main = [](h::runtime& rt, h::future<> go, std::atomic<bool>& finished) -> h::task<> {
    rt.stop();
    co_await go;
    finished = true;
  };
  try {
    rt.run(main(rt, go.get_future(), finished));
    ADD_FAILURE() << "run returned";
  } catch (const h::usage_error& e) {
    EXPECT_NE(std::string(e.what()).find("stop()"), std::string::npos) << e.what();
  }
  // All loops stand still: what is ready does not run.
  go.set_value();
  EXPECT_EQ(h::all_tasks(rt).size(), 1u);
  EXPECT_FALSE(finished);
  rt.run([](std::atomic<bool>& finished) -> h::task<> {
    auto end = until([&] { return finished.load(); });
    co_await std::move(end);
  }(finished));
  EXPECT_TRUE(finished);
}

TEST_P(Stop, EndsARunOfAFutureWhichTheNextRunFinishes) {
  h::runtime rt(with());
  h::promise<> go;
  auto main = [](h::future<> go) -> h::task<int> {
    co_await go;
    co_return 42;
  };
  auto result = rt.submit(main, go.get_future());
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {  // again and again: the first ones may come before the run
    while (!stopped) {
      rt.stop();
      std::this_thread::yield();
    }
  });
  EXPECT_THROW((void)rt.run(result), h::usage_error);
  stopped = true;
  stopper.join();
  EXPECT_FALSE(result.done());
  go.set_value();
  EXPECT_EQ(rt.run(result), 42);
}

TEST_P(Stop, FromAnotherThreadEndsARunThatWouldNeverEnd) {
  h::runtime rt(with());
  std::atomic<bool> waits{false};
  std::thread stopper([&] {
    while (!waits) std::this_thread::yield();
    rt.stop();
  });
  h::promise<> never;
  EXPECT_THROW(rt.run([](std::atomic<bool>& waits, h::future<> never) -> h::task<> {
    waits = true;
    co_await never;
  }(waits, never.get_future())),
               h::usage_error);
  stopper.join();
}

TEST_P(Stop, AMainThatEndsInTheSamePassHasItsResult) {
  h::runtime rt(with());
  for (int i = 0; i < support::rounds(100); ++i)
    EXPECT_EQ(rt.run([](h::runtime& rt) -> h::task<int> {
      rt.stop();
      co_return 42;
    }(rt)),
              42);
}

TEST_P(Stop, OfARunIsNotRememberedForRunForever) {
  h::runtime rt(with());
  h::promise<> never;
  EXPECT_THROW(rt.run([](h::runtime& rt, h::future<> never) -> h::task<> {
    rt.stop();
    co_await never;
  }(rt, never.get_future())),
               h::usage_error);
  std::atomic<bool> ran{false};
  rt.loop(0).call_later(1ms, [&] {
    ran = true;
    rt.stop();
  });
  rt.run_forever();
  EXPECT_TRUE(ran);
}

TEST_P(Stop, OfRunForeverLeavesWhatAnotherThreadRunsAlone) {
  h::runtime rt(with());
  auto main = [](h::runtime& rt) -> h::task<int> {
    co_await h::sleep(1ms);
    rt.stop();
    co_await h::sleep(1ms);
    co_return 1;
  };
  for (bool fine = false; !fine;) {
    std::thread other([&] { rt.run_forever(); });
    try {
      EXPECT_EQ(rt.run(main(rt)), 1);
      fine = true;
    } catch (const h::usage_error&) {}  // the other thread had not come to its run_forever
    // It may come there after main's stop(), and before the thread in run() notices that.
    rt.stop();
    other.join();
  }
}

// --------------------------------------------------------------- interrupt

std::atomic<bool> held{false};
std::atomic<bool> let_go{false};
void hold_here(int) {
  held = true;
  while (!let_go) {}
}

TEST_P(Interrupt, ThatComesJustAfterMainWasCancelledByAnotherIsNotTheCause) {
  held = false;
  let_go = false;
  const auto main_thread = pthread_self();
  (void)std::signal(SIGUSR2, hold_here);
  std::atomic<bool> began{false};
  h::runtime rt(with());
  // The main thread stands in a handler of the test's, so that it hears of both only when both have
  // happened.
  std::thread other([&] {
    while (!began) std::this_thread::yield();
    pthread_kill(main_thread, SIGUSR2);
    while (!held) std::this_thread::yield();
    for (const auto& t : h::all_tasks(rt)) t.cancel();
    while (!h::all_tasks(rt).empty()) std::this_thread::yield();
    std::raise(SIGINT);
    let_go = true;
  });
  bool cancelled = false;
  try {
    rt.run([](std::atomic<bool>& began) -> h::task<> {
      began = true;
      co_await h::sleep(1h);
    }(began));
  } catch (const h::interrupted_error&) {
    ADD_FAILURE() << "the interrupt found nothing to cancel";
  } catch (const h::cancelled_error&) { cancelled = true; }
  other.join();
  (void)std::signal(SIGUSR2, SIG_DFL);
  EXPECT_TRUE(cancelled);
}

// ------------------------------------------------------------ never awaited

/// What is reported of coroutines that nobody awaited while `main` runs in debug mode.
std::vector<h::error_context> warnings(h::options o, h::task<> (*main)()) {
  support::reports all;
  all.install(o);
  h::run(main(), o);
  std::vector<h::error_context> found;
  for (std::size_t i = 0; i < all.count(); ++i)
    if (all.at(i).message.find("never awaited") != std::string::npos) found.push_back(all.at(i));
  return found;
}

h::task<int> forgotten() { co_return 1; }
constexpr int line_of_forgotten = __LINE__ - 1;

TEST_P(NeverAwaited, ACoroutineIsWarnedOfOnceAndNamedInDebugMode) {
  auto o = with();
  o.debug = true;
  const auto found = warnings(o, []() -> h::task<> {
    { auto never = forgotten(); }
    co_return;
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(static_cast<int>(found[0].made.line()), line_of_forgotten) << found[0].message;
  EXPECT_NE(std::string(found[0].made.file_name()).find("sched/stop.cpp"), std::string::npos);
  EXPECT_NE(found[0].message.find("forgotten"), std::string::npos) << found[0].message;
  EXPECT_NE(found[0].loop, nullptr);
}

TEST_P(NeverAwaited, OneThatAnotherHoldsIsNotWarnedOfOnceMore) {
  auto o = with();
  o.debug = true;
  const auto found = warnings(o, []() -> h::task<> {
    { auto never = h::wait_for(forgotten(), 1h); }
    co_return;
  });
  EXPECT_EQ(found.size(), 1u);
}

TEST_P(NeverAwaited, NothingIsSaidWithoutDebugMode) {
  auto o = with();
  o.debug = false;
  const auto found = warnings(o, []() -> h::task<> {
    { auto never = forgotten(); }
    co_return;
  });
  EXPECT_TRUE(found.empty());
}

TEST_P(NeverAwaited, NothingIsSaidOfWhatWasGivenAwayOrMovedOrCancelledBeforeItsFirstStep) {
  auto o = with();
  o.debug = true;
  const auto found = warnings(o, []() -> h::task<> {
    auto awaited = forgotten();
    auto moved = std::move(awaited);
    const int one = co_await std::move(moved);
    auto given = h::create_task(forgotten());
    const int two = co_await given;
    EXPECT_EQ(one + two, 2);
    auto wrapped = h::wait_for(forgotten(), 1h);
    auto cancelled = h::create_task(std::move(wrapped));
    cancelled.cancel();
    try {
      co_await cancelled;
    } catch (const h::cancelled_error&) {}
    (void)co_await h::fork_join(forgotten(), forgotten());
  });
  EXPECT_TRUE(found.empty()) << found[0].message;
}

TEST_P(NeverAwaited, NothingIsSaidOfAForkWhoseTaskIsCancelled) {
  auto o = with();
  o.debug = true;
  const auto found = warnings(o, []() -> h::task<> {
    auto forks = h::create_task([]() -> h::task<> {
      h::current_task().cancel();
      bool cancelled = false;
      try {
        (void)co_await h::fork_join(forgotten(), forgotten());
      } catch (const h::cancelled_error&) { cancelled = true; }
      EXPECT_TRUE(cancelled);
      h::current_task().cancel();
      std::vector<h::task<int>> many;
      for (int i = 0; i < 3; ++i) many.push_back(forgotten());
      auto fork = h::fork_join(std::move(many));
      (void)co_await std::move(fork);
    });
    try {
      co_await forks;
    } catch (const h::cancelled_error&) {}
  });
  EXPECT_TRUE(found.empty()) << found[0].message;
}

HEDDLE_AT_LOOPS(Stop);
HEDDLE_AT_LOOPS(Interrupt);
HEDDLE_AT_LOOPS(NeverAwaited);

}  // namespace
