// SPDX-License-Identifier: MIT
// Memory runs out while a runtime begins, while it ends, and while all that waits is woken.
#include "memory/shortage.h"

#include <heddle/core/future.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>

#include <support/loops.h>

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace memory;

class MemoryOfARuntime : public support::at_loops {};
HEDDLE_AT_THESE_LOOPS(MemoryOfARuntime, 1u, 2u);

h::task<int> number(int n) {
  co_await h::yield_now();
  co_return n;
}
h::task<> for_ever() { co_await h::sleep(1h); }
h::async_generator<int> count(int n) {
  const std::string held("a text that is longer than what a std::string keeps in itself");
  for (int i = 0; i < n; ++i) {
    co_await h::yield_now();
    co_yield i;
  }
}

TEST_P(MemoryOfARuntime, IsShortForAllThatAThreadWakesAndEachOfThemRuns) {
  constexpr std::size_t count = 500;
  h::options o;
  o.loops = GetParam();
  o.reactor = h::reactor_kind::epoll;
  h::runtime rt(o);
  std::vector<h::promise<>> go(count);
  std::vector<h::future<int>> ends;
  for (auto& p : go)
    ends.push_back(rt.submit(
        [](h::future<> gone) -> h::task<int> {
          co_await gone;
          co_return 1;
        },
        p.get_future()));
  // Ready, so that each waits in the loops by now.
  rt.run(number(1));
  std::thread([&] {
    begin({1, ~std::uint64_t{0} / 2});
    for (auto& p : go) p.set_value();
    (void)end();
  }).join();
  for (auto& f : ends) EXPECT_EQ(f.get(), 1);
}

TEST_P(MemoryOfARuntime, IsShortWhileARuntimeBeginsAndEnds) {
  sigset_t before;
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &before), 0);
  for (const std::uint64_t many : {std::uint64_t{1}, std::uint64_t{8}})
    for (std::uint64_t n = 1;; ++n) {
      begin({n, many});
      try {
        h::options o;
        o.loops = GetParam();
        o.reactor = h::reactor_kind::epoll;
        h::runtime rt(o);
        rt.run(number(1));
        rt.close();
      } catch (const std::bad_alloc&) {}
      const auto failures = end();
      sigset_t after;
      ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &after), 0);
      for (int s = 1; s < 32; ++s)
        ASSERT_EQ(::sigismember(&before, s), ::sigismember(&after, s)) << "at " << n;
      if (failures == 0) break;
    }
}

TEST_P(MemoryOfARuntime, IsShortWhileARuntimeEndsThatHasWorkLeft) {
  for (const std::uint64_t many : {std::uint64_t{1}, std::uint64_t{8}})
    for (std::uint64_t n = 1;; ++n) {
      std::vector<h::async_generator<int>> open(3);
      std::vector<h::task_handle<>> left;
      {
        h::options o;
        o.loops = GetParam();
        o.reactor = h::reactor_kind::epoll;
        o.exception_handler = [](const h::error_context&) {};
        h::runtime rt(o);
        rt.run([](auto& generators, auto& tasks) -> h::task<> {
          for (auto& g : generators) {
            g = count(9);
            (void)co_await g.next();
          }
          for (int i = 0; i < 40; ++i) tasks.push_back(h::create_task(for_ever()));
          co_await h::yield_now();
        }(open, left));
        begin({n, many});
        rt.close();
      }
      const auto failures = end();
      for (auto& t : left) ASSERT_TRUE(t.cancelled()) << "at " << n;
      if (failures == 0) break;
    }
}

}  // namespace
