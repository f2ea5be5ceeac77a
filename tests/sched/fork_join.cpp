// SPDX-License-Identifier: MIT
// fork_join: results, failures, strands that wait and move, cancellation.
#include <heddle/core/future.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::until;
using support::until_later;

class ForkJoin : public support::at_loops {};

h::task<int> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await h::fork_join(fib(n - 1), fib(n - 2));
  co_return a + b;
}

/// Fib whose leaves really wait, now this way, now that: as the way from the root to them decides.
h::task<int> restless_fib(int n, unsigned way = 1) {
  if (n < 2) {
    switch (way * 2654435761u % 3) {
      case 0: co_await h::yield_now(); break;
      case 1: co_await h::sleep(std::chrono::microseconds(20)); break;
      default: break;
    }
    co_return n;
  }
  auto [a, b] =
      co_await h::fork_join(restless_fib(n - 1, 2 * way), restless_fib(n - 2, 2 * way + 1));
  co_return a + b;
}

h::task<int> give(int v) { co_return v; }
h::task<int> give_late(int v) {
  co_await h::sleep(1ms);
  co_return v;
}
h::task<int> fail(const char* why) {
  throw std::runtime_error(why);
  co_return 0;
}
h::task<int> fail_late(const char* why) {
  co_await h::sleep(1ms);
  throw std::runtime_error(why);
}

template <class F>
h::task<std::string> error_of(F make) {
  try {
    auto&& awaited = make();
    co_await awaited;
    co_return "none";
  } catch (const h::cancelled_error&) { co_return "cancelled"; } catch (const std::exception& e) {
    co_return e.what();
  }
}

TEST_P(ForkJoin, YieldsTheResultsInTheOrderOfTheArguments) {
  run([]() -> h::task<> {
    auto [a, b, c] = co_await h::fork_join(give_late(1), give(2), give_late(3));
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(c, 3);
  }());
}

TEST_P(ForkJoin, TakesValuesReferencesMoveOnlyResultsAndVoid) {
  run([]() -> h::task<> {
    int object = 4;
    bool ran = false;
    auto [text, reference, pointer, nothing] = co_await h::fork_join(
        []() -> h::task<std::string> { co_return std::string(100, 'x'); }(),
        [](int& o) -> h::task<int&> { co_return o; }(object),
        []() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); }(),
        [](bool& ran) -> h::task<> {
          ran = true;
          co_return;
        }(ran));
    EXPECT_EQ(text.size(), 100u);
    EXPECT_EQ(&reference, &object);
    EXPECT_EQ(*pointer, 5);
    EXPECT_TRUE(ran);
    static_assert(std::is_same_v<decltype(nothing), std::monostate>);
  }());
}

TEST_P(ForkJoin, OfNothingButVoidYieldsNothing) {
  run([]() -> h::task<> {
    std::atomic<int> ran{0};
    auto body = [](std::atomic<int>& ran) -> h::task<> {
      ++ran;
      co_return;
    };
    static_assert(std::is_void_v<decltype(h::fork_join(body(ran), body(ran)).await_resume())>);
    co_await h::fork_join(body(ran), body(ran));
    EXPECT_EQ(ran, 2);
    co_await h::fork_join(body(ran));
    EXPECT_EQ(ran, 3);
  }());
}

TEST_P(ForkJoin, ARangeMayHoldNothingOneOrAThousand) {
  run([]() -> h::task<> {
    for (int n : {0, 1, 2, 3, 1000}) {
      std::vector<h::task<int>> all;
      for (int i = 0; i < n; ++i) all.push_back(i % 100 == 7 ? give_late(i) : give(i));
      const auto results = co_await h::fork_join(std::move(all));
      EXPECT_EQ(static_cast<int>(results.size()), n);
      for (int i = 0; i < n; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], i);
    }
    std::vector<h::task<>> nothing;
    co_await h::fork_join(std::move(nothing));
  }());
}

TEST_P(ForkJoin, RecursionComputesFib) { EXPECT_EQ(run(fib(22)), 17711); }

TEST_P(ForkJoin, RecursionWhoseLeavesWaitComputesFib) {
  EXPECT_EQ(run(restless_fib(support::sanitized ? 10 : 14)), support::sanitized ? 55 : 377);
}

TEST_P(ForkJoin, DeepRecursionUsesNoStack) {
  struct deep {
    static h::task<int> down(int n) {
      if (n == 0) co_return 0;
      auto [a, b] = co_await h::fork_join(down(n - 1), give(1));
      co_return a + b;
    }
    static h::task<int> down_last(int n) {
      if (n == 0) co_return 0;
      auto [a, b] = co_await h::fork_join(give(1), down_last(n - 1));
      co_return a + b;
    }
  };
  constexpr int n = support::sanitized ? 2000 : 100'000;
  EXPECT_EQ(run(deep::down(n)), n);
  EXPECT_EQ(run(deep::down_last(n)), n);
}

TEST_P(ForkJoin, ManyTasksMayForkAtOnce) {
  run([]() -> h::task<> {
    std::vector<h::task_handle<int>> all;
    for (int i = 0; i < 30; ++i) all.push_back(h::create_task(i % 2 ? fib(12) : restless_fib(7)));
    for (int i = 0; i < 30; ++i)
      EXPECT_EQ(co_await all[static_cast<std::size_t>(i)], i % 2 ? 144 : 13);
  }());
}

TEST_P(ForkJoin, TheStrandsAreTheEnclosingTask) {
  run([]() -> h::task<> {
    const auto self = h::current_task();
    std::atomic<int> wrong{0};
    auto child = [](h::any_task self, std::atomic<int>& wrong, int kind) -> h::task<> {
      if (h::current_task() != self) ++wrong;
      if (kind == 1) co_await h::yield_now();
      if (kind == 2) co_await h::sleep(100us);
      if (h::current_task() != self) ++wrong;
      co_await h::fork_join(
          [](h::any_task self, std::atomic<int>& wrong) -> h::task<> {
            co_await h::yield_now();
            if (h::current_task() != self) ++wrong;
          }(self, wrong),
          [](h::any_task self, std::atomic<int>& wrong) -> h::task<> {
            if (h::current_task() != self) ++wrong;
            co_return;
          }(self, wrong));
      if (h::current_task() != self) ++wrong;
    };
    for (int i = 0; i < 20; ++i) {
      co_await h::fork_join(child(self, wrong, i % 3), child(self, wrong, 1),
                            child(self, wrong, 2));
      if (h::current_task() != self) ++wrong;
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(h::all_tasks().size(), 1u);
  }());
}

TEST_P(ForkJoin, ThrowsTheFirstFailureInTheOrderOfTheArguments) {
  run([]() -> h::task<> {
    EXPECT_EQ(co_await error_of([&] { return h::fork_join(give(1), fail("two"), give(3)); }),
              "two");
    EXPECT_EQ(co_await error_of([&] { return h::fork_join(fail("one"), fail("two")); }), "one");
    EXPECT_EQ(co_await error_of([&] { return h::fork_join(fail_late("late"), give(2)); }), "late");
  }());
}

TEST_P(ForkJoin, AnOrdinaryErrorGoesBeforeTheCancellationThatItCaused) {
  run([]() -> h::task<> {
    auto sleeper = []() -> h::task<int> {
      co_await h::sleep(1h);
      co_return 0;
    };
    EXPECT_EQ(co_await error_of([&] { return h::fork_join(sleeper(), fail_late("E")); }), "E");
  }());
}

TEST(ForkJoinOnOneLoop, SiblingsThatHaveNotStartedAreSkipped) {
  support::run_on_one([]() -> h::task<> {
    bool ran = false;
    EXPECT_EQ(co_await error_of([&] {
                return h::fork_join(fail("E"), [](bool& ran) -> h::task<int> {
                  ran = true;
                  co_return 1;
                }(ran));
              }),
              "E");
    EXPECT_FALSE(ran);
  }());
}

TEST_P(ForkJoin, AFailureReachesSiblingsThatWaitDeepInTheirOwnForks) {
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
      EXPECT_EQ(co_await error_of([&] {
                  return h::fork_join(deep::wait(4, waiting), deep::fail_when(waiting, 16));
                }),
                "E");
    }
  }());
}

TEST_P(ForkJoin, AFailureInOneJoinLeavesOthersOfTheTaskAlone) {
  run([]() -> h::task<> {
    auto unlucky = []() -> h::task<int> {
      const auto why =
          co_await error_of([&] { return h::fork_join(fail_late("inner"), give_late(1)); });
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

TEST_P(ForkJoin, AChildWhoseErrorIsCaughtInsideDoesNoHarm) {
  run([]() -> h::task<> {
    auto careful = []() -> h::task<int> {
      try {
        (void)co_await fail_late("caught");
      } catch (const std::runtime_error&) {}
      co_return 1;
    };
    auto [a, b] = co_await h::fork_join(careful(), give(2));
    EXPECT_EQ(a + b, 3);
  }());
}

TEST_P(ForkJoin, AnEmptyChildIsAUsageErrorAndNothingStarts) {
  run([]() -> h::task<> {
    bool ran = false;
    auto child = [](bool& ran) -> h::task<int> {
      ran = true;
      co_return 1;
    };
    EXPECT_THROW((void)h::fork_join(child(ran), h::task<int>()), h::usage_error);
    EXPECT_FALSE(ran);
    co_return;
  }());
}

TEST_P(ForkJoin, AChildThatWasAwaitedBeforeIsAUsageError) {
  run([]() -> h::task<> {
    auto child = give(1);
    (void)co_await child;
    EXPECT_THROW((void)h::fork_join(std::move(child), give(2)), h::usage_error);
  }());
}

TEST_P(ForkJoin, CancellingTheTaskReachesStrandsThatWait) {
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
      EXPECT_EQ(co_await error_of([&] { return t; }), "cancelled");
      EXPECT_TRUE(t.cancelled());
      EXPECT_EQ(waiting, cancelled.load());
    }
  }());
}

TEST_P(ForkJoin, CancellingTheTaskStopsARecursionThatOnlyComputes) {
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
    EXPECT_EQ(co_await error_of([&] { return t; }), "cancelled");
  }());
}

TEST_P(ForkJoin, ACancellationThatArrivesWhileStrandsAreBeingPromotedIsNeverLost) {
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
      EXPECT_EQ(co_await error_of([&] { return t; }), "cancelled");
    }
  }());
}

TEST_P(ForkJoin, ACancellationThatArrivesWhileStrandsAreBeingPromotedIsDeliveredToEachOnce) {
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
      (void)co_await error_of([&] { return t; });
      EXPECT_LE(most, 1);
    }
  }());
}

TEST_P(ForkJoin, AFailureReachesAStrandThatComputesNowAndWaitsLater) {
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
      EXPECT_EQ(co_await error_of([&] { return t; }), "E");
    }
  }());
}

TEST_P(ForkJoin, ATimeoutAroundAJoinInterruptsItsStrands) {
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

TEST_P(ForkJoin, ATimeoutInsideAStrandInterruptsThatStrandAlone) {
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

TEST_P(ForkJoin, APinnedParentResumesAtHome) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    h::task_options o;
    o.loop = &rt.loop(rt.loop_count() - 1);
    auto t = h::create_task(
        o,
        [](unsigned home) -> h::task<int> {
          int wrong = 0;
          for (int i = 0; i < 50; ++i) {
            auto [a, b, c] = co_await h::fork_join(fib(8), give_late(1), fib(8));
            if (a + b + c != 43 || h::current_loop().index() != home) ++wrong;
          }
          co_return wrong;
        },
        rt.loop_count() - 1);
    EXPECT_EQ(co_await t, 0);
  }(rt));
}

TEST_P(ForkJoin, StrandsMayWaitForTasksFuturesAndThreads) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto shared = h::create_task(give_late(1));
    auto waits_for_task = [](h::task_handle<int> t) -> h::task<int> { co_return co_await t; };
    auto waits_for_future = [](h::future<int> f) -> h::task<int> { co_return co_await f; };
    auto waits_for_thread = []() -> h::task<int> {
      co_return co_await h::to_thread([] { return 4; });
    };
    auto sets = [](h::promise<int>& p) -> h::task<int> {
      co_await h::sleep(500us);
      p.set_value(2);
      co_return 8;
    };
    auto [a, b, c, d] = co_await h::fork_join(
        waits_for_task(shared), waits_for_future(p.get_future()), waits_for_thread(), sets(p));
    EXPECT_EQ(a + b + c + d, 15);
  }());
}

TEST_P(ForkJoin, AStormOfForksStarvesNeitherTimersNorOtherTasks) {
  run([]() -> h::task<> {
    std::atomic<bool> stop{false};
    struct storm {
      static h::task<> blow(std::atomic<bool>& stop) {
        while (!stop) co_await h::fork_join(fib(8), fib(8));
      }
    };
    std::vector<h::task_handle<>> storms;
    for (int i = 0; i < 10; ++i) storms.push_back(h::create_task(storm::blow(stop)));
    for (int i = 0; i < 5; ++i) co_await h::sleep(1ms);
    for (int i = 0; i < 5; ++i) co_await h::yield_now();
    stop = true;
    for (auto& s : storms) co_await s;
  }());
}

// fib(22) forks 28656 times and a turn is 2048 forks at most, so there are 14 turns or more.
TEST(ForkJoinOnOneLoop, AllThatIsReadyGetsItsStepBetweenTwoTurnsOfForks) {
  constexpr int tasks = 64;
  bool over = false;
  long steps = 0;
  h::run(
      [](bool& over, long& steps) -> h::task<> {
        std::vector<h::task_handle<void>> all;
        for (int i = 0; i < tasks; ++i) {
          all.push_back(h::create_task([&over, &steps]() -> h::task<> {
            while (!over) {
              ++steps;
              co_await h::yield_now();
            }
          }));
        }
        co_await h::yield_now();
        EXPECT_EQ(co_await fib(22), 17711);
        over = true;
        for (auto& t : all) co_await t;
      }(over, steps),
      {.loops = 1});
  EXPECT_GE(steps, 13 * tasks);
}

TEST_P(ForkJoin, ShutdownReachesStrandsThatWait) {
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

HEDDLE_AT_LOOPS(ForkJoin);

}  // namespace
