// SPDX-License-Identifier: MIT
// Failures, cancellations and time-outs reach the strands of a fork_join.
#include "sched/small_tasks.h"

#include <heddle/core/future.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>

#include <support/endings.h>
#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace small_tasks;
using namespace std::chrono_literals;
using support::error_text;
using support::until;
using support::until_later;

class ForkJoinCancel : public support::at_loops {};

TEST_P(ForkJoinCancel, AFailureReachesSiblingsThatWaitDeepInTheirOwnForks) {
  run([]() -> h::task<> {
    struct deep {
      static h::task<int> wait(int n, std::atomic<int>& waiting) {
        if (n == 0) {
          ++waiting;
          co_await h::sleep(1h);
          co_return 0;
        }
        auto [a, b] = co_await h::fork_join(wait(n - 1, waiting), wait(n - 1, waiting));
        co_return a + b;
      }
      static h::task<int> fail_when(std::atomic<int>& waiting, int all) {
        co_await until([&] { return waiting == all; });
        throw std::runtime_error("E");
      }
    };
    for (int i = 0; i < support::rounds(50); ++i) {
      std::atomic<int> waiting{0};
      EXPECT_EQ(co_await error_text([&] {
                  return h::fork_join(deep::wait(4, waiting), deep::fail_when(waiting, 16));
                }),
                "E");
    }
  }());
}

TEST_P(ForkJoinCancel, AFailureInOneJoinLeavesOthersOfTheTaskAlone) {
  run([]() -> h::task<> {
    auto unlucky = []() -> h::task<int> {
      const auto why =
          co_await error_text([&] { return h::fork_join(fail_late("inner"), give_late(1)); });
      EXPECT_EQ(why, "inner");
      auto [a, b] = co_await h::fork_join(give_late(1), fib(10));
      co_return a + b;
    };
    auto steady = []() -> h::task<int> {
      int sum = 0;
      for (int i = 0; i < 5; ++i) {
        auto [a, b] = co_await h::fork_join(give_late(1), give(1));
        sum += a + b;
        co_await h::sleep(300us);
      }
      co_return sum;
    };
    auto [a, b] = co_await h::fork_join(unlucky(), steady());
    EXPECT_EQ(a, 56);
    EXPECT_EQ(b, 10);
  }());
}

TEST_P(ForkJoinCancel, CancellingTheTaskReachesStrandsThatWait) {
  run([]() -> h::task<> {
    for (int i = 0; i < support::rounds(200); ++i) {
      std::atomic<int> waiting{0}, cancelled{0};
      auto strand = [](std::atomic<int>& waiting, std::atomic<int>& cancelled) -> h::task<> {
        ++waiting;
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          ++cancelled;
          throw;
        }
      };
      auto t = h::create_task(
          [](auto strand, std::atomic<int>& waiting, std::atomic<int>& cancelled) -> h::task<> {
            co_await h::fork_join(strand(waiting, cancelled), strand(waiting, cancelled),
                                  strand(waiting, cancelled));
          },
          strand, std::ref(waiting), std::ref(cancelled));
      if (i % 2) co_await until([&] { return waiting == 3; });
      t.cancel("stop");
      EXPECT_EQ(co_await error_text([&] { return t; }), "cancelled: stop");
      EXPECT_TRUE(t.cancelled());
      EXPECT_EQ(waiting, cancelled.load());
    }
  }());
}

TEST_P(ForkJoinCancel, CancellingTheTaskStopsARecursionThatOnlyComputes) {
  run([]() -> h::task<> {
    struct endless {
      static h::task<> fork(std::atomic<std::uint64_t>& forks) {
        for (;;) {
          ++forks;
          co_await h::fork_join(leaf(), leaf());
        }
      }
      static h::task<> leaf() { co_return; }
    };
    std::atomic<std::uint64_t> forks{0};
    auto t = h::create_task(endless::fork(forks));
    co_await until([&] { return forks > 10'000; });
    t.cancel();
    EXPECT_EQ(co_await error_text([&] { return t; }), "cancelled");
  }());
}

TEST_P(ForkJoinCancel, ACancellationThatArrivesWhileStrandsAreBeingPromotedIsNeverLost) {
  run([]() -> h::task<> {
    for (int i = 0; i < support::rounds(1000); ++i) {
      std::atomic<bool> go{false};
      auto t = h::create_task(
          [](std::atomic<bool>& go) -> h::task<> {
            go = true;
            auto strand = []() -> h::task<> {
              co_await h::yield_now();
              co_await h::sleep(1h);
            };
            co_await h::fork_join(strand(), strand());
          },
          std::ref(go));
      co_await until([&] { return go.load(); });
      for (int spin = 0; spin < i % 64; ++spin) h::detail::cpu_relax();
      t.cancel();
      EXPECT_EQ(co_await error_text([&] { return t; }), "cancelled");
    }
  }());
}

TEST_P(ForkJoinCancel, ACancellationThatArrivesWhileStrandsAreBeingPromotedIsDeliveredToEachOnce) {
  run([]() -> h::task<> {
    for (int i = 0; i < support::rounds(2000); ++i) {
      std::atomic<bool> go{false};
      std::atomic<int> most{0};
      auto strand = [](std::atomic<bool>& go, std::atomic<int>& most, int spins) -> h::task<> {
        int delivered = 0;
        go = true;
        for (int spin = 0; spin < spins; ++spin) h::detail::cpu_relax();
        for (int turn = 0; turn < 4; ++turn) {
          try {
            co_await h::yield_now();
          } catch (const h::cancelled_error&) { ++delivered; }
        }
        if (delivered > most) most = delivered;
      };
      auto body = [strand](std::atomic<bool>& go, std::atomic<int>& most, int spins) -> h::task<> {
        co_await h::fork_join(strand(go, most, spins), strand(go, most, 0), strand(go, most, 7));
      };
      auto t = h::create_task(body, std::ref(go), std::ref(most), i % 32);
      co_await until([&] { return go.load(); });
      for (int spin = 0; spin < i % 64; ++spin) h::detail::cpu_relax();
      t.cancel();
      (void)co_await error_text([&] { return t; });
      EXPECT_LE(most, 1);
    }
  }());
}

TEST_P(ForkJoinCancel, AFailureReachesAStrandThatComputesNowAndWaitsLater) {
  h::runtime rt(with());
  if (rt.loop_count() == 1) return;  // the two have to run at the same time
  rt.run([]() -> h::task<> {
    for (int i = 0; i < support::rounds(300); ++i) {
      std::atomic<bool> computes{false}, fails{false};
      auto failing = [](std::atomic<bool>& computes, std::atomic<bool>& fails) -> h::task<> {
        while (!computes) std::this_thread::yield();
        fails = true;
        throw std::runtime_error("E");
        co_return;
      };
      auto waiting = [](std::atomic<bool>& computes, std::atomic<bool>& fails,
                        int spins) -> h::task<> {
        computes = true;
        while (!fails) h::detail::cpu_relax();
        for (int spin = 0; spin < spins * 50; ++spin) h::detail::cpu_relax();
        co_await h::sleep(1h);
      };
      auto body = [failing, waiting](std::atomic<bool>& computes, std::atomic<bool>& fails,
                                     int spins) -> h::task<> {
        co_await h::fork_join(failing(computes, fails), waiting(computes, fails, spins));
      };
      auto t = h::create_task(body, std::ref(computes), std::ref(fails), i % 64);
      EXPECT_EQ(co_await error_text([&] { return t; }), "E");
    }
  }());
}

TEST_P(ForkJoinCancel, ATimeoutAroundAJoinInterruptsItsStrands) {
  run([]() -> h::task<> {
    for (int i = 0; i < 5; ++i) {
      bool timed_out = false;
      try {
        co_await h::timeout(1ms, []() -> h::task<> {
          auto strand = []() -> h::task<> { co_await h::sleep(1h); };
          co_await h::fork_join(strand(), strand());
        });
      } catch (const h::timeout_error&) { timed_out = true; }
      EXPECT_TRUE(timed_out);
      EXPECT_EQ(h::current_task().cancelling(), 0u);
      co_await h::sleep(100us);  // unharmed
    }
  }());
}

TEST_P(ForkJoinCancel, ATimeoutInsideAStrandInterruptsThatStrandAlone) {
  run([]() -> h::task<> {
    auto hasty = []() -> h::task<int> {
      try {
        co_await h::timeout(1ms, []() -> h::task<> { co_await h::sleep(1h); });
      } catch (const h::timeout_error&) { co_return 1; }
      co_return 0;
    };
    auto patient = []() -> h::task<int> {
      co_await h::sleep(3ms);
      co_return 10;
    };
    auto [a, b, c] = co_await h::fork_join(hasty(), patient(), hasty());
    EXPECT_EQ(a + b + c, 12);
    EXPECT_EQ(h::current_task().cancelling(), 0u);
  }());
}

TEST_P(ForkJoinCancel, ShutdownReachesStrandsThatWait) {
  std::atomic<int> destroyed{0};
  struct counts {
    std::atomic<int>* n;
    ~counts() { ++*n; }
  };
  run([](std::atomic<int>& destroyed) -> h::task<> {
    std::atomic<int>* n = &destroyed;
    auto strand = [](std::atomic<int>* n, std::atomic<int>* waiting) -> h::task<> {
      counts c{n};
      ++*waiting;
      co_await h::sleep(1h);
    };
    std::atomic<int> waiting{0};
    for (int i = 0; i < 10; ++i)
      (void)h::create_task(
          [](auto strand, std::atomic<int>* n, std::atomic<int>* waiting) -> h::task<> {
            co_await h::fork_join(strand(n, waiting), strand(n, waiting));
          },
          strand, n, &waiting);
    co_await until([&] { return waiting == 20; });
  }(destroyed));
  EXPECT_EQ(destroyed, 20);
}

HEDDLE_AT_LOOPS(ForkJoinCancel);

}  // namespace
