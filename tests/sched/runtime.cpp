// SPDX-License-Identifier: MIT
// run, runtime, submit, errors, shutdown, statistics, hogged and idle loops.
#include <heddle/core/base/thread_state.h>
#include <heddle/core/future.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>

#include <support/loops.h>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::until;
using support::until_later;

class Runtime : public support::at_loops {};
class Submit : public support::at_loops {};
class Errors : public support::at_loops {};
class Shutdown : public support::at_loops {};
class Statistics : public support::at_loops {};

struct stop_now : h::fatal_error {
  stop_now() : fatal_error("stop now") {}
};

// ----------------------------------------------------------------------- run

TEST_P(Runtime, RunYieldsTheResult) {
  EXPECT_EQ(run([]() -> h::task<int> {
              co_await h::yield_now();
              co_return 42;
            }()),
            42);
  EXPECT_EQ(*run([]() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); }()),
            7);
}

TEST_P(Runtime, RunThrowsWhatMainThrows) {
  EXPECT_THROW(run([]() -> h::task<> {
                 co_await h::yield_now();
                 throw std::out_of_range("E");
               }()),
               std::out_of_range);
  EXPECT_THROW(run([]() -> h::task<> {
                 h::current_task().cancel();
                 co_await h::yield_now();
               }()),
               h::cancelled_error);
}

TEST_P(Runtime, RunInsideARunningLoopIsAUsageErrorOnEveryLoopAndNothingStarts) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    std::atomic<unsigned> refused{0};
    std::atomic<bool> started{false};
    auto body = [](std::atomic<bool>& started) -> h::task<> {
      started = true;
      co_return;
    };
    for (unsigned i = 0; i < rt.loop_count(); ++i)
      rt.loop(i).call_soon([&] {
        EXPECT_THROW(h::run(body(started)), h::usage_error);
        EXPECT_THROW(rt.run(body(started)), h::usage_error);
        EXPECT_THROW(rt.run_forever(), h::usage_error);
        EXPECT_THROW(h::runtime(), h::usage_error);
        ++refused;
      });
    co_await until_later([&] { return refused == rt.loop_count(); });
    EXPECT_FALSE(started);
  }(rt));
}

TEST_P(Runtime, RunMayBeCalledAgainAndFromSeveralThreads) {
  h::runtime rt(with());
  auto main = [](int i) -> h::task<int> {
    co_await h::sleep(200us);
    co_return i;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rt.run(main(i)), i);
  std::vector<std::thread> all;
  std::atomic<int> sum{0};
  for (int i = 0; i < 10; ++i) all.emplace_back([&, i] { sum += rt.run(main(i)); });
  for (auto& t : all) t.join();
  EXPECT_EQ(sum, 45);
}

TEST_P(Runtime, OptionsOutOfRangeAreABadValue) {
  h::options o;
  o.loops = 257;
  EXPECT_THROW(h::runtime{o}, h::bad_value);
  h::runtime rt(with());
  EXPECT_EQ(rt.loop_count(), loops());
  EXPECT_THROW((void)rt.loop(loops()), h::bad_value);
  EXPECT_EQ(rt.loop(0).index(), 0u);
  EXPECT_EQ(&rt.loop(0).owner(), &rt);
}

TEST_P(Runtime, ManyAreBornAndEndAtOnce) {
  std::vector<std::thread> all;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i)
    all.emplace_back([&] {
      for (int k = 0; k < support::rounds(30); ++k) {
        const int v = h::run(
            [](int k) -> h::task<int> {
              auto left_over = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
              auto t = h::create_task([](int k) -> h::task<int> { co_return k; }, k);
              co_return co_await t;
            }(k),
            with());
        if (v != k) ++wrong;
      }
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(Runtime, RunForeverReturnsWhenItIsStopped) {
  h::runtime rt(with());
  rt.loop(0).call_later(1ms, [&] { rt.stop(); });
  rt.run_forever();
  rt.stop();
  rt.run_forever();
  rt.loop(0).call_soon([] { throw stop_now(); });
  EXPECT_THROW(rt.run_forever(), stop_now);
}

// -------------------------------------------------------------------- submit

TEST_P(Submit, TheValueTheErrorOrTheCancellationComesOut) {
  h::runtime rt(with());
  EXPECT_EQ(rt.submit([]() -> h::task<int> { co_return 5; }).get(), 5);
  auto failed = rt.submit([]() -> h::task<> {
    co_await h::yield_now();
    throw std::runtime_error("E");
  });
  EXPECT_THROW(failed.get(), std::runtime_error);
  auto cancelled = rt.submit([]() -> h::task<> {
    co_await h::yield_now();
    throw h::cancelled_error("own");
  });
  try {
    cancelled.get();
    ADD_FAILURE();
  } catch (const h::cancelled_error& e) { EXPECT_STREQ(e.what(), "own"); }
  EXPECT_TRUE(cancelled.cancelled());
}

TEST_P(Submit, TenThreadsGetTheirOwnAnswers) {
  h::runtime rt(with());
  std::vector<std::thread> all;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 10; ++i)
    all.emplace_back([&, i] {
      for (int k = 0; k < support::rounds(200); ++k) {
        auto f = rt.submit(
            [](int v) -> h::task<int> {
              if (v % 3 == 0) co_await h::yield_now();
              if (v % 5 == 0) throw std::runtime_error(std::to_string(v));
              co_return v;
            },
            i * 1000 + k);
        try {
          if (f.get() != i * 1000 + k) ++wrong;
        } catch (const std::runtime_error& e) {
          if (e.what() != std::to_string(i * 1000 + k)) ++wrong;
        }
      }
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(Submit, CancellingTheFutureCancelsTheTask) {
  h::runtime rt(with());
  for (int i = 0; i < support::rounds(200); ++i) {
    std::atomic<int> state{0};
    auto f = rt.submit(
        [](std::atomic<int>& state) -> h::task<> {
          state = 1;
          try {
            co_await h::sleep(1h);
          } catch (const h::cancelled_error&) {
            state = 2;
            throw;
          }
        },
        std::ref(state));
    if (i % 2)
      while (state == 0) std::this_thread::yield();
    EXPECT_TRUE(f.cancel());
    EXPECT_THROW(f.get(), h::cancelled_error);
    if (i % 2)
      while (state != 2) std::this_thread::yield();
    else
      rt.run([](h::runtime& rt) -> h::task<> {  // `state` must outlive the task
        co_await until_later([&] { return rt.stats().tasks == 1; });
      }(rt));
    EXPECT_FALSE(f.cancel());
  }
}

TEST_P(Submit, OneThatIsCancelledBeforeItBeginsCancelsItsFuture) {
  h::runtime rt(with());
  // All loops are busy until it is cancelled.
  std::atomic<unsigned> busy{0};
  std::atomic<bool> go_on{false};
  std::vector<h::future<void>> hogs;
  for (unsigned i = 0; i < rt.loop_count(); ++i)
    hogs.push_back(rt.submit(
        [](std::atomic<unsigned>& busy, std::atomic<bool>& go_on) -> h::task<> {
          ++busy;
          while (!go_on) std::this_thread::yield();
          co_return;
        },
        std::ref(busy), std::ref(go_on)));
  while (busy != rt.loop_count()) std::this_thread::yield();
  bool ran = false;
  auto body = [](bool& ran) -> h::task<int> {
    ran = true;
    co_return 1;
  };
  auto f = rt.submit(body(ran));
  h::detail::task_record::scan([](h::detail::task_record& r) {
    if (!r.done() && r.is_unstarted() && r.frame()) (void)h::detail::cancel_now(r);
  });
  go_on = true;
  for (auto& hog : hogs) hog.wait();
  EXPECT_THROW((void)f.get(), h::cancelled_error);
  EXPECT_TRUE(f.cancelled());
  EXPECT_FALSE(ran);
}

TEST_P(Submit, BlockingInALoopsThreadIsAUsageError) {
  h::runtime rt(with());
  auto f = rt.submit([]() -> h::task<> { co_await h::sleep(1h); });
  rt.run([](h::future<> f) -> h::task<> {
    EXPECT_THROW(f.get(), h::usage_error);
    co_return;
  }(f));
}

TEST_P(Submit, WhileTheRuntimeEndsIsAUsageErrorAndNeverAHang) {
  std::atomic<bool> refused{false};
  auto held = std::make_shared<int>(1);
  {
    h::runtime rt(with());
    rt.run([](h::runtime& rt, std::atomic<bool>& refused, std::shared_ptr<int> held) -> h::task<> {
      std::atomic<bool> asleep{false};
      auto* out = &refused;
      auto* a = &asleep;
      (void)h::create_task(
          [](h::runtime* rt, std::atomic<bool>* out, std::atomic<bool>* a,
             std::shared_ptr<int> held) -> h::task<> {
            try {
              *a = true;
              co_await h::sleep(1h);
            } catch (const h::cancelled_error&) {
              try {
                (void)rt->submit([](std::shared_ptr<int>) -> h::task<> { co_return; }, held);
              } catch (const h::usage_error&) { *out = true; }
              throw;
            }
          },
          &rt, out, a, held);
      co_await until([&] { return asleep.load(); });
    }(rt, refused, held));
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(held.use_count(), 1);
}

// -------------------------------------------------------------------- errors

TEST_P(Errors, AFatalOneOfAnyTaskLeavesRunAtOnce) {
  EXPECT_THROW(run([]() -> h::task<> {
                 (void)h::create_task([]() -> h::task<> {
                   co_await h::yield_now();
                   throw stop_now();
                 });
                 co_await h::sleep(1h);
               }()),
               stop_now);
  EXPECT_THROW(run([]() -> h::task<> {
                 h::current_loop().call_soon([] { throw stop_now(); });
                 co_await h::sleep(1h);
               }()),
               stop_now);
  EXPECT_THROW(run([]() -> h::task<> {
                 throw stop_now();
                 co_return;
               }()),
               stop_now);
}

TEST_P(Errors, AFatalOneIsNoOrdinaryErrorAndIsToldOnce) {
  h::runtime rt(with());
  EXPECT_THROW(rt.run([]() -> h::task<> {
    try {
      throw stop_now();
    } catch (const std::exception&) { ADD_FAILURE() << "swallowed"; }
    co_return;
  }()),
               stop_now);
  rt.run([]() -> h::task<> { co_await h::yield_now(); }());
}

TEST_P(Errors, AHandlerOfACancellationMayThrowAFatalOne) {
  EXPECT_THROW(run([]() -> h::task<> {
                 std::atomic<bool> asleep{false};
                 auto t = h::create_task(
                     [](std::atomic<bool>& asleep) -> h::task<> {
                       try {
                         asleep = true;
                         co_await h::sleep(1h);
                       } catch (const h::cancelled_error&) { throw stop_now(); }
                     },
                     std::ref(asleep));
                 co_await until([&] { return asleep.load(); });
                 t.cancel();
                 co_await h::sleep(1h);
               }()),
               stop_now);
}

TEST_P(Errors, TheHandlersCallsNeverOverlapAndNoneIsLost) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  constexpr std::size_t n = 500;
  h::run(
      []() -> h::task<> {
        for (std::size_t i = 0; i < n; ++i)
          (void)h::create_task([]() -> h::task<> {
            co_await h::yield_now();
            throw std::runtime_error("lost");
          });
        co_await until_later([] { return h::all_tasks().size() == 1; });
      }(),
      o);
  EXPECT_EQ(seen.count(), n);
  EXPECT_FALSE(seen.overlapped());
}

TEST_P(Errors, AHandlerThatThrowsOrReportsItselfDoesNoHarm) {
  auto o = with();
  std::atomic<int> calls{0};
  o.exception_handler = [&](const h::error_context& what) {
    ++calls;
    if (what.message == "again") return;
    h::current_runtime().report({"again", nullptr, {}});
    h::current_runtime().set_exception_handler([&](const h::error_context&) { calls += 100; });
    throw std::runtime_error("the handler's own (this line on stderr is expected)");
  };
  h::run(
      [](std::atomic<int>& calls) -> h::task<> {
        h::current_loop().call_soon(
            [] { throw std::runtime_error("first (this line on stderr is expected)"); });
        co_await until_later([&] { return calls == 2; });
        h::current_loop().call_soon([] { throw std::runtime_error("second"); });
        co_await until_later([&] { return calls == 102; });
      }(calls),
      o);
  EXPECT_EQ(calls, 102);
}

TEST_P(Errors, OneThatALeftOverMakesOfItsCancellationIsReported) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  EXPECT_EQ(h::run(
                []() -> h::task<int> {
                  std::atomic<bool> asleep{false};
                  auto* a = &asleep;
                  (void)h::create_task(
                      {.name = "left over"},
                      [](std::atomic<bool>* a) -> h::task<> {
                        try {
                          *a = true;
                          co_await h::sleep(1h);
                        } catch (const h::cancelled_error&) { throw std::runtime_error("E"); }
                      },
                      a);
                  co_await until([&] { return asleep.load(); });
                  co_return 1;
                }(),
                o),
            1);
  ASSERT_EQ(seen.count(), 1u);
  EXPECT_EQ(seen.at(0).task, "left over");
}

// ------------------------------------------------------------------ shutdown

/// Counts those alive.
struct alive {
  explicit alive(std::atomic<int>& n) : count(&n) { ++*count; }
  alive(const alive& other) : count(other.count) { ++*count; }
  alive& operator=(const alive&) = default;
  ~alive() { --*count; }
  std::atomic<int>* count;
};

TEST_P(Shutdown, TenThousandTasksAtVariousAwaitsAllEndCancelled) {
  constexpr int n = support::sanitized ? 1000 : 10'000;
  std::atomic<int> living{0};
  std::vector<h::task_handle<>> all;
  std::vector<h::promise<int>> never;
  run([](std::atomic<int>& living, std::vector<h::task_handle<>>& all,
         std::vector<h::promise<int>>& never) -> h::task<> {
    std::atomic<int> started{0};
    auto* s = &started;
    auto blocked = [](int i, alive, std::atomic<int>* s, h::future<int> f,
                      h::task_handle<> other) -> h::task<> {
      ++*s;
      switch (i % 7) {
        case 0: co_await h::sleep(1h); break;
        case 1: co_await f; break;
        case 2:
          if (other.valid()) co_await other;
          co_await h::sleep(1h);
          break;
        case 3:
          co_await h::gather(f, []() -> h::task<int> {
            co_await h::sleep(1h);
            co_return 1;
          }());
          break;
        case 4: co_await h::wait_for([]() -> h::task<> { co_await h::sleep(1h); }(), 30min); break;
        case 5:
          co_await h::fork_join([]() -> h::task<> { co_await h::sleep(1h); }(),
                                []() -> h::task<> { co_await h::sleep(2h); }());
          break;
        default:
          for (;;) co_await h::yield_now();
      }
    };
    for (int i = 0; i < n; ++i) {
      never.emplace_back();
      all.push_back(h::create_task(blocked, i, alive(living), s, never.back().get_future(),
                                   all.empty() ? h::task_handle<>() : all.back()));
    }
    co_await until([&] { return started == n; });
  }(living, all, never));
  EXPECT_EQ(living, 0);
  for (auto& t : all) ASSERT_TRUE(t.cancelled());
}

TEST_P(Shutdown, CleanupMayAwaitAndMakeTasksAndItAllEnds) {
  std::atomic<int> living{0}, cleaned{0};
  run([](std::atomic<int>& living, std::atomic<int>& cleaned) -> h::task<> {
    std::atomic<int> started{0};
    auto* s = &started;
    for (int i = 0; i < 50; ++i)
      (void)h::create_task(
          [](alive a, std::atomic<int>* s, std::atomic<int>* cleaned) -> h::task<> {
            ++*s;
            std::exception_ptr error;
            try {
              co_await h::sleep(1h);
            } catch (...) { error = std::current_exception(); }
            co_await h::sleep(300us);
            (void)h::create_task([](alive) -> h::task<> { co_await h::sleep(1h); }, a);
            auto helper = h::create_task(
                [](alive) -> h::task<int> {
                  co_await h::sleep(100us);
                  co_return 1;
                },
                a);
            *cleaned += co_await helper;
            std::rethrow_exception(error);
          },
          alive(living), s, &cleaned);
    co_await until([&] { return started == 50; });
  }(living, cleaned));
  EXPECT_EQ(living, 0);
  EXPECT_EQ(cleaned, 50);
}

TEST_P(Shutdown, WaitsForOneThatSwallowsItsCancellationAndWorksOn) {
  std::atomic<bool> ended{false};
  run([](std::atomic<bool>& ended) -> h::task<> {
    std::atomic<bool> asleep{false};
    (void)h::create_task(
        [](std::atomic<bool>* asleep, std::atomic<bool>* ended) -> h::task<> {
          try {
            *asleep = true;
            co_await h::sleep(1h);
          } catch (const h::cancelled_error&) {}
          co_await h::sleep(3ms);
          *ended = true;
        },
        &asleep, &ended);
    co_await until([&] { return asleep.load(); });
  }(ended));
  EXPECT_TRUE(ended);
}

TEST_P(Shutdown, ATaskThatWasNeverStartedIsDestroyedUnstarted) {
  std::atomic<int> living{0};
  run([](std::atomic<int>& living) -> h::task<> {
    for (int i = 0; i < 100; ++i)
      (void)h::create_task([](alive) -> h::task<> { co_await h::sleep(1h); }, alive(living));
    co_return;
  }(living));
  EXPECT_EQ(living, 0);
}

TEST_P(Shutdown, ForeignThreadsMayPostUpToTheEnd) {
  for (int round = 0; round < support::rounds(30); ++round) {
    std::atomic<int> living{0};
    {
      h::runtime rt(with());
      std::atomic<bool> stop{false};
      std::vector<std::thread> posters;
      for (int i = 0; i < 2; ++i)
        posters.emplace_back([&] {
          while (!stop) {
            (void)rt.submit([](alive) -> h::task<> { co_await h::sleep(1h); }, alive(living));
            rt.loop(0).call_soon([a = alive(living)] {});
            rt.loop(rt.loop_count() - 1).call_later(1h, [a = alive(living)] {});
          }
        });
      std::this_thread::sleep_for(300us);  // for some to be posted; none would only show less
      stop = true;
      for (auto& t : posters) t.join();
    }
    ASSERT_EQ(living, 0);
  }
}

TEST_P(Shutdown, TasksThatMakeTasksWithoutEndStopWhenTheyAreCancelled) {
  std::atomic<int> living{0};
  run([](std::atomic<int>& living) -> h::task<> {
    auto maker = [](alive a) -> h::task<> {
      for (;;) {
        (void)h::create_task([](alive) -> h::task<> { co_await h::sleep(1h); }, a);
        co_await h::sleep(50us);
      }
    };
    for (int i = 0; i < 5; ++i) (void)h::create_task(maker, alive(living));
    co_await until_later([&] { return living > 100; });
  }(living));
  EXPECT_EQ(living, 0);
}

// ---------------------------------------------------------------- statistics

TEST_P(Statistics, CountTasksAndSteps) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 100; ++i)
      all.push_back(h::create_task([]() -> h::task<> { co_await h::yield_now(); }));
    for (auto& t : all) co_await t;
    const auto s = rt.stats();
    EXPECT_EQ(s.loops.size(), rt.loop_count());
    EXPECT_FALSE(s.reactor.empty());
    EXPECT_EQ(s.reactor, rt.reactor());
    std::uint64_t created = 0, steps = 0;
    for (unsigned i = 0; i < s.loops.size(); ++i) {
      EXPECT_EQ(s.loops[i].id, i);
      created += s.loops[i].created;
      steps += s.loops[i].run;
    }
    EXPECT_EQ(created, 100u);
    EXPECT_GE(steps, 200u);
    co_await until([&] { return rt.stats().tasks == 1; });
  }(rt));
}

// ------------------------------------------------------- hogged and idle loops

TEST(HoggedLoop, DelaysNeitherSleepsNorQueueNorSlotOfOthers) {
  for (int round = 0; round < 3; ++round) {
    h::options o;
    o.loops = 2;
    h::runtime rt(o);
    std::atomic<std::int64_t> latest{0};
    rt.run([](std::atomic<std::int64_t>& latest) -> h::task<> {
      std::atomic<bool> hogging{false};
      std::atomic<int> ended{0};
      std::atomic<std::int64_t> began{h::clock::now().time_since_epoch().count()};
      h::promise<> woken;
      auto note = [&] {
        const auto late = h::clock::now().time_since_epoch().count() - began;
        auto seen = latest.load();
        while (late > seen && !latest.compare_exchange_weak(seen, late)) {}
        ++ended;
      };
      // Sleepers on this loop, tasks in its queue, and one in its slot: then the loop is hogged.
      std::vector<h::task_handle<>> all;
      for (int i = 0; i < 20; ++i)
        all.push_back(h::create_task(
            [](auto* note, int i) -> h::task<> {
              co_await h::sleep(std::chrono::milliseconds(1 + i % 10));
              (*note)();
            },
            &note, i));
      all.push_back(h::create_task(
          [](auto* note, h::future<> f) -> h::task<> {
            co_await f;
            (*note)();
          },
          &note, woken.get_future()));
      co_await h::sleep(500us);
      auto hogger = h::create_task(
          [](auto* note, h::promise<>& woken, std::atomic<bool>& hogging,
             std::atomic<std::int64_t>& began, std::vector<h::task_handle<>>& all,
             std::atomic<int>& ended) -> h::task<> {
            began = h::clock::now().time_since_epoch().count();
            for (int i = 0; i < 20; ++i)
              all.push_back(h::create_task(
                  [](auto* note) -> h::task<> {
                    (*note)();
                    co_return;
                  },
                  note));
            woken.set_value();  // into the slot
            hogging = true;
            // Hogs the loop until all of them have ended without it; a time limit only for the case
            // that they never do.
            while (ended < 41 &&
                   h::clock::now().time_since_epoch().count() - began < 20'000'000'000) {}
            EXPECT_EQ(ended, 41);
            co_return;
          },
          &note, std::ref(woken), std::ref(hogging), std::ref(began), std::ref(all),
          std::ref(ended));
      co_await hogger;
      for (auto& t : all) co_await t;
      EXPECT_EQ(ended, 41);
    }(latest));
  }
}

TEST(HoggedLoop, OneOfManyIsNoticedToo) {
  h::options o;
  o.loops = 8;
  h::runtime rt(o);
  rt.run([]() -> h::task<> {
    for (int i = 0; i < 3; ++i) {
      std::atomic<bool> slept{false};
      auto sleeper = h::create_task(
          [](std::atomic<bool>& slept) -> h::task<> {
            co_await h::sleep(5ms);
            slept = true;
          },
          std::ref(slept));
      auto hogger = h::create_task(
          [](std::atomic<bool>& slept) -> h::task<> {
            const auto began = h::clock::now();
            while (!slept && h::clock::now() - began < 20s) {}
            EXPECT_TRUE(slept);
            co_return;
          },
          std::ref(slept));
      co_await sleeper;
      co_await hogger;
    }
  }());
}

// The other loop is busy all the time with short steps: it looks four times a millisecond, and
// never sleeps.
TEST(HoggedLoop, IsNoticedByOneThatNeverSleeps) {
  h::options o;
  o.loops = 2;
  h::runtime rt(o);
  rt.run([](h::runtime& rt) -> h::task<> {
    std::atomic<bool> slept{false};
    h::task_options first, second;
    first.loop = &rt.loop(0);
    second.loop = &rt.loop(1);
    auto busy = h::create_task(
        [](std::atomic<bool>& slept) -> h::task<> {
          while (!slept) co_await h::yield_now();
        }(slept),
        second);
    auto hogger = h::create_task(
        [](std::atomic<bool>& slept) -> h::task<> {
          h::task_options here;
          here.eager = true;
          auto sleeper = h::create_task(
              [](std::atomic<bool>& slept) -> h::task<> {
                co_await h::sleep(5ms);
                slept = true;
              }(slept),
              here);
          const auto began = h::clock::now();
          while (!slept && h::clock::now() - began < 20s) {}
          EXPECT_TRUE(slept);
          slept = true;
          co_await sleeper;
        }(slept),
        first);
    co_await hogger;
    co_await busy;
  }(rt));
}

/// Voluntary context switches of all threads of heddle in this process: each stands for a wake-up.
/// (A sanitizer has a thread of its own, which wakes ten times a second.)
std::uint64_t wake_ups() {
  std::uint64_t sum = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(thread.path() / "comm") >> name;
    if (!name.starts_with("heddle-")) continue;
    std::ifstream status(thread.path() / "status");
    for (std::string word; status >> word;)
      if (word == "voluntary_ctxt_switches:") {
        std::uint64_t n = 0;
        status >> n;
        sum += n;
      }
  }
  return sum;
}

TEST_P(Statistics, AnIdleRuntimeDoesNotWakeUp) {
  h::runtime rt(with());
  rt.run([]() -> h::task<> {
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 100; ++i)
      all.push_back(h::create_task([]() -> h::task<> { co_await h::sleep(100us); }));
    for (auto& t : all) co_await t;
  }());
  const auto parked = [&] {
    std::uint64_t n = 0;
    for (const auto& l : rt.stats().loops) n += l.parked;
    return n;
  };
  // The watch lingers for some 20 ms: wait for a while in which nobody parked anew, then look at a
  // whole one.
  auto before = parked();
  for (int i = 0; i < 100; ++i) {
    std::this_thread::sleep_for(60ms);
    const auto now = parked();
    if (now == before) break;
    before = now;
  }
  const auto switches = wake_ups();
  std::this_thread::sleep_for(300ms);
  const auto more = wake_ups() - switches;
  EXPECT_EQ(more, 0u);
  EXPECT_EQ(parked(), before);
  EXPECT_EQ(rt.run([]() -> h::task<int> { co_return 1; }()), 1);
}

HEDDLE_AT_LOOPS(Runtime);
HEDDLE_AT_LOOPS(Submit);
HEDDLE_AT_LOOPS(Errors);
HEDDLE_AT_LOOPS(Shutdown);
HEDDLE_AT_LOOPS(Statistics);

TEST(Fork, AChildFindsWhatAllRuntimesShareUnlocked) {
  h::run([]() -> h::task<> { co_return; }());  // whoever runs loops cares for forks
  auto& depot = h::detail::process_frames().of(0);
  std::atomic<bool> end{false};
  std::thread holds([&] {
    while (!end) {
      depot.hold();
      for (int i = 0; i < 500; ++i) h::detail::cpu_relax();
      depot.let_go();
      // Who waits looks once in a millisecond at last: half of its looks find the lock free.
      for (int i = 0; i < 500; ++i) h::detail::cpu_relax();
    }
  });
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);  // ends it if it waits for a thread that it does not have
      depot.hold();
      depot.let_go();
      ::_exit(0);
    }
    int status = -1;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    EXPECT_TRUE(WIFEXITED(status)) << i;
    if (!WIFEXITED(status)) break;
  }
  end = true;
  holds.join();
}

}  // namespace
