// SPDX-License-Identifier: MIT
// The watch over stalls: what it decides, by looks that the tests make up, and that it stays out of
// the way of forks and of the program's signals.
#include <heddle/core/seeing/function_names.h>
#include <heddle/sched/loop/watch_bell.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/stalls.h>
#include <heddle/sched/stalls/judge.h>
#include <heddle/sched/stalls/watch.h>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using h::detail::line_budget;
using h::detail::stall_judge;

// --------------------------------------------------------------------- judge

TEST(StallJudge, TheSameStepIsTheSameCountOfALoopThatStaysAwake) {
  stall_judge judge;
  judge.begin(7, true, 0ms);
  EXPECT_TRUE(judge.is_same_step(7, true));
  EXPECT_FALSE(judge.is_same_step(8, true));
  EXPECT_FALSE(judge.is_same_step(7, false));
  judge.begin(7, false, 0ms);
  EXPECT_FALSE(judge.is_same_step(7, true));  // it slept in between
}

TEST(StallJudge, AThreadThatComputesIsChargedWhatItHasUsed) {
  stall_judge judge;
  judge.begin(1, true, 1000ms);
  judge.add(20ms, 1019ms);
  judge.add(20ms, 1039ms);
  EXPECT_EQ(judge.charged(), 39ms);
  EXPECT_FALSE(judge.must_ask(10ms));
}

TEST(StallJudge, AThreadThatHasNoProcessorIsChargedNothing) {
  stall_judge judge;
  judge.begin(1, true, 1000ms);
  for (int i = 0; i < 100; ++i) {
    judge.add(20ms, 1000ms);
    if (judge.must_ask(100ms)) judge.state('R');
  }
  EXPECT_EQ(judge.charged(), 0ms);
}

TEST(StallJudge, AThreadThatSleepsIsChargedTheTimeBetweenLooks) {
  stall_judge judge;
  judge.begin(1, true, 0ms);
  judge.add(20ms, 0ms);
  EXPECT_FALSE(judge.must_ask(60ms));
  judge.add(20ms, 1ms);
  EXPECT_TRUE(judge.must_ask(60ms));
  EXPECT_EQ(judge.charged(), 1ms);
  judge.state('S');
  EXPECT_EQ(judge.charged(), 40ms);
  EXPECT_FALSE(judge.must_ask(60ms));
  judge.add(30ms, 1ms);
  judge.state('D');
  EXPECT_EQ(judge.charged(), 70ms);
}

TEST(StallJudge, AStoppedProcessASuspendedMachineAndAThrottledGroupAreNoStall) {
  stall_judge stopped;
  stopped.begin(1, true, 0ms);
  stopped.add(5s, 0ms);
  stopped.state('T');
  stopped.add(5s, 0ms);
  stopped.state('t');
  EXPECT_EQ(stopped.charged(), 0ms);
  stall_judge suspended;  // for an hour; the thread is in a system call, or computes
  suspended.begin(1, true, 0ms);
  suspended.add(3600s, 0ms);
  suspended.state('S');
  EXPECT_EQ(suspended.charged(), stall_judge::most_a_look);
  suspended.begin(2, true, 0ms);
  suspended.add(3600s, 3ms);
  suspended.state('R');
  EXPECT_EQ(suspended.charged(), 3ms);
}

TEST(StallJudge, AnotherStepBeginsAnew) {
  stall_judge judge;
  judge.begin(1, true, 0ms);
  judge.add(20ms, 20ms);
  judge.begin(2, true, 25ms);
  judge.add(20ms, 30ms);
  EXPECT_EQ(judge.charged(), 5ms);
}

TEST(StallLines, AreFiveAMinuteAndTheRestIsCounted) {
  line_budget budget;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(budget.take(1h));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(budget.take(1h + 59s));
  EXPECT_EQ(budget.held_back(), 3u);
  EXPECT_EQ(budget.held_back(), 0u);
  EXPECT_TRUE(budget.take(1h + 60s));
}

// --------------------------------------------------------------------- names

std::string name_of(const char* symbol) {
  char text[256];
  h::detail::seeing::short_writer to(text);
  h::detail::seeing::put_function_name(to, symbol);
  return text;
}

TEST(StallNames, ACallbackIsCalledByWhatItCalls) {
  EXPECT_EQ(name_of("_ZN6heddle6detail14bound_callbackINS0_8callbackEN4chat5flushEJEE6invokeEv"),
            "callback chat::flush");
  EXPECT_EQ(
      name_of("_ZN6heddle6detail14bound_callbackINS0_14timed_callbackEZ4mainE3$_0JiEE6invokeEv"),
      "callback main::{lambda}");
  EXPECT_EQ(name_of("_ZN6heddle6detail16done_callback_ofIN4chat4doneEvE6invokeEv"),
            "callback chat::done");
  EXPECT_EQ(name_of("_ZN6heddle6detail14bound_callbackINS0_8callbackEPFvvEJEE6invokeEv"),
            "heddle::detail::bound_callback::invoke");
}

// --------------------------------------------------------- beside the program

/// Blocks its loop until the watch has seen it, which may be late; for a minute at most.
h::task<> blocks_until(std::atomic<bool>& seen) {
  const auto limit = h::clock::now() + 60s;
  while (!seen && h::clock::now() < limit) {
    const auto end = h::clock::now() + 60ms;
    while (!seen && h::clock::now() < end) {}
    co_await h::yield_now();
  }
}

h::options with_limit(std::atomic<bool>& seen) {
  h::options o;
  o.loops = 2;
  o.stall_limit = 20ms;
  o.stall_handler = [&seen](const h::error_context&) { seen = true; };
  return o;
}

TEST(Stalls, AHandlerOfTheProgramsStaysAndGetsNoSignal) {
  static std::atomic<int> got{0};
  struct sigaction own{}, before{}, after{};
  own.sa_handler = [](int) { ++got; };
  ASSERT_EQ(::sigaction(SIGURG, &own, &before), 0);
  std::atomic<bool> seen{false};
  h::run(blocks_until(seen), with_limit(seen));
  ASSERT_EQ(::sigaction(SIGURG, &before, &after), 0);
  EXPECT_EQ(after.sa_handler, own.sa_handler);
  EXPECT_EQ(got, 0);
}

TEST(Stalls, AfterTheLastRuntimeTheSignalIsAsItWas) {
  std::atomic<bool> seen{false};
  h::run(blocks_until(seen), with_limit(seen));
  struct sigaction after{};
  ASSERT_EQ(::sigaction(SIGURG, nullptr, &after), 0);
  EXPECT_EQ(after.sa_handler, SIG_DFL);
}

TEST(Stalls, ASignalThatIsNoneIsRefused) {
  h::options o;
  o.stall_signal = 1000;
  EXPECT_THROW(h::runtime{o}, h::bad_value);
  o.stall_signal = -1;
  EXPECT_THROW(h::runtime{o}, h::bad_value);
}

TEST(Stalls, ALoopThatWakesUpWakesTheWatch) {
  std::atomic<bool> seen{false};
  h::runtime rt(with_limit(seen));
  const auto sleeps = [] {
    return h::detail::watch_bell.load(h::detail::seq_cst) == h::detail::watch_state::asleep;
  };
  for (int i = 0; i < 10'000 && !sleeps(); ++i) std::this_thread::sleep_for(5ms);
  ASSERT_TRUE(sleeps());
  rt.run(blocks_until(seen));
  EXPECT_TRUE(seen);
}

TEST(Stalls, AForkedChildHasAWatchOfItsOwn) {
  if (HEDDLE_TSAN) GTEST_SKIP() << "a child may start no thread under it";
  std::atomic<bool> seen{false};
  h::runtime rt(with_limit(seen));
  rt.run(blocks_until(seen));
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(120);  // ends it if it waits for a thread that it does not have
    if (!h::stalls().empty()) ::_exit(1);
    std::atomic<bool> seen_here{false};
    h::run(blocks_until(seen_here), with_limit(seen_here));
    ::_exit(h::stalls().empty() ? 2 : 0);
  }
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
