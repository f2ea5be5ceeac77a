// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/core/context.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace conformance;

CASES(RUN);

/// Counts those alive.
struct alive {
  explicit alive(std::atomic<int>& n) : count(&n) { ++*count; }
  alive(const alive& other) : count(other.count) { ++*count; }
  alive& operator=(const alive&) = delete;
  ~alive() { --*count; }
  std::atomic<int>* count;
};

TEST_P(RUN, RUN_01_ItYieldsTheResultOfMain) {
  h::runtime rt(with());
  EQUAL(rt.run([]() -> h::task<int> {
    co_await h::yield_now();
    co_return 42;
  }()),
        42);
  EQUAL(run([]() -> h::task<int> {
          co_await h::to_thread([] {});
          co_await h::yield_now();
          co_return 42;
        }),
        42);
  HOLDS(h::current_loop_if_any() == nullptr);
}

TEST_P(RUN, RUN_02_WhatMainThrowsLeavesItAsItIs) {
  auto error = std::make_exception_ptr(error_e());
  std::exception_ptr seen;
  std::atomic<int> living{0};
  try {
    run(
        [](std::exception_ptr e, std::atomic<int>& n) -> h::task<> {
          (void)h::create_task([](alive) -> h::task<> { co_await h::sleep(1h); }, alive(n));
          co_await h::yield_now();
          std::rethrow_exception(e);
        },
        error, living);
  } catch (...) { seen = std::current_exception(); }
  HOLDS(seen == error);  // that same object
  EQUAL(living, 0);      // and the runtime was closed properly
  EQUAL(report_count(), 0u);
}

TEST_P(RUN, RUN_03_InsideARunningLoopItIsAUsageErrorAndNothingStarts) {
  h::runtime rt(with());
  rt.run([](h::runtime& r) -> h::task<> {
    std::atomic<unsigned> refused{0};
    std::atomic<bool> started{false};
    auto body = [](std::atomic<bool>& s) -> h::task<> {
      s = true;
      co_return;
    };
    THROWS(h::usage_error, h::run(body(started)));
    THROWS(h::usage_error, r.run(body(started)));
    for (unsigned i = 0; i < r.loop_count(); ++i)
      r.loop(i).call_soon([&] {
        THROWS(h::usage_error, h::run(body(started)));
        THROWS(h::usage_error, r.run(body(started)));
        THROWS(h::usage_error, r.run_forever());
        ++refused;
      });
    co_await until([&] { return refused == r.loop_count(); });
    HOLDS(!started);
    EQUAL(co_await ending(h::create_task(h::to_thread([] {}))), "value");  // unharmed
  }(rt));
}

TEST_P(RUN, RUN_04_WhatIsLeftIsCancelledAndItsCleanupAwaited) {
  std::atomic<int> cleaned{0};
  EQUAL(run(
            [](std::atomic<int>& done) -> h::task<int> {
              std::atomic<bool> asleep{false};
              (void)h::create_task(
                  [](std::atomic<bool>* a, std::atomic<int>* d) -> h::task<> {
                    *a = true;
                    std::exception_ptr error;
                    try {
                      co_await h::sleep(1h);
                    } catch (const h::cancelled_error&) { error = std::current_exception(); }
                    co_await h::yield_now();
                    co_await h::sleep(1ms);
                    ++*d;
                    std::rethrow_exception(error);
                  },
                  &asleep, &done);
              co_await until([&] { return asleep.load(); });
              co_return 123;
            },
            cleaned),
        123);
  EQUAL(cleaned, 1);
  EQUAL(report_count(), 0u);
}

TEST_P(RUN, RUN_05_AnErrorThatWhatIsLeftMakesOfItsCancellationIsReportedOnce) {
  h::task_handle<> kept;  // a handle that lives on does not make the report wait
  EQUAL(run(
            [](h::task_handle<>& handle) -> h::task<int> {
              std::atomic<bool> asleep{false};
              handle = h::create_task(
                  {.name = "left over"},
                  [](std::atomic<bool>* a) -> h::task<> {
                    *a = true;
                    try {
                      co_await h::sleep(1h);
                    } catch (const h::cancelled_error&) { throw error_e(); }
                  },
                  &asleep);
              co_await until([&] { return asleep.load(); });
              co_return 1;
            },
            kept),
        1);
  EQUAL(report_count(), 1u);
  const auto seen = reports();
  for (const auto& r : seen) {
    HOLDS(r.message.find("shutdown") != std::string::npos);
    EQUAL(r.task, "left over");
    HOLDS(r.origin == kept);
    EQUAL(name_of(r.error), "E");
  }
}

TEST_P(RUN, RUN_06_WhatSwallowsItsCancellationIsWaitedFor) {
  std::atomic<bool> ended{false};
  run(
      [](std::atomic<bool>& e) -> h::task<> {
        std::atomic<bool> asleep{false};
        (void)h::create_task(
            [](std::atomic<bool>* a, std::atomic<bool>* out) -> h::task<> {
              *a = true;
              try {
                co_await h::sleep(1h);
              } catch (const h::cancelled_error&) {}
              co_await h::sleep(20ms);  // longer than an end that did not wait for it would take
              *out = true;
            },
            &asleep, &e);
        co_await until([&] { return asleep.load(); });
      },
      ended);
  HOLDS(ended);
}

TEST_P(RUN, RUN_07_AnErrorOfMainLeavesAndGeneratorsAreClosedAllTheSame) {
  std::atomic<bool> closed{false};
  h::task_handle<> kept;
  auto main = [](std::atomic<bool>& closed, h::task_handle<>& kept) -> h::task<> {
    auto values = [](std::atomic<bool>& closed) -> h::async_generator<int> {
      struct at_end {
        std::atomic<bool>* flag;
        ~at_end() { *flag = true; }
      } const mark{&closed};
      co_yield 1;
      co_await h::sleep(1h);
      co_yield 2;
    };
    auto inside = [values](std::atomic<bool>& closed) -> h::task<> {
      auto gen = values(closed);
      try {
        while (co_await gen.next()) {}
      } catch (const h::cancelled_error&) { throw error_f(); }
    };
    kept = h::create_task(inside, std::ref(closed));
    co_await until_waiting(kept);
    throw error_e();
  };
  EQUAL(name_of([&] {
          try {
            run(main, closed, kept);
          } catch (...) { return std::current_exception(); }
          return std::exception_ptr();
        }()),
        "E");
  HOLDS(kept.done());
  EQUAL(name_of(kept.exception()), "F");
  HOLDS(closed);
}

TEST_P(RUN, RUN_08_TheSecondRunSeesWhatTheFirstOneSet) {
  static h::context_var<int> number("number", 0);
  h::runtime rt(with());
  auto* first = rt.run([]() -> h::task<h::loop*> {
    number.set(7);
    co_return &h::current_loop();
  }());
  auto [second, seen] = rt.run([]() -> h::task<std::pair<h::loop*, int>> {
    co_return std::pair<h::loop*, int>(&h::current_loop(), number.get());
  }());
  EQUAL(seen, 7);
  HOLDS(&first->owner() == &second->owner());
  if (one_loop()) HOLDS(first == second);
  rt.close();
  HOLDS(rt.is_closed());
  EQUAL(number.get(), 0);
}

TEST_P(RUN, RUN_09_AClosedRuntimeRefusesAndMayBeClosedAgain) {
  h::runtime rt(with());
  EQUAL(rt.run([]() -> h::task<int> { co_return 1; }()), 1);
  HOLDS(!rt.is_closed());
  rt.close();
  HOLDS(rt.is_closed());
  std::atomic<int> living{0};
  auto body = [](alive) -> h::task<int> { co_return 1; };
  THROWS(h::usage_error, rt.loop(0));
  THROWS(h::usage_error, rt.run(body(alive(living))));
  THROWS(h::usage_error, rt.run_forever());
  THROWS(h::usage_error, rt.submit(body(alive(living))));
  THROWS(h::usage_error, rt.submit(body, alive(living)));
  EQUAL(living, 0);  // what was refused is destroyed unstarted
  rt.close();
  HOLDS(rt.is_closed());
  EQUAL(report_count(), 0u);
}

TEST_P(RUN, RUN_10_TheDebugFlagIsWhatWasGivenAndTheLoopsAreTheRuntimesOwn) {
  for (const bool debug : {true, false}) {
    auto o = with();
    o.debug = debug;
    h::runtime rt(o);
    EQUAL(rt.debug(), debug);
    EQUAL(rt.loop_count(), loops());
    std::vector<h::loop*> all;
    for (unsigned i = 0; i < loops(); ++i) all.push_back(&rt.loop(i));
    for (int again = 0; again < 2; ++again) {
      rt.run([](h::runtime& r, const std::vector<h::loop*>& mine, bool flag) -> h::task<> {
        HOLDS(&h::current_runtime() == &r);
        HOLDS(std::find(mine.begin(), mine.end(), &h::current_loop()) != mine.end());
        EQUAL(h::current_runtime().debug(), flag);
        co_return;
      }(rt, all, debug));
    }
  }
}

TEST_P(RUN, RUN_16_AJobThatRunsWhenMainReturnsIsWaitedFor) {
  std::atomic<bool> ended{false};
  run(
      [](std::atomic<bool>& e) -> h::task<> {
        std::atomic<bool> entered{false};
        (void)h::create_task(
            [](std::atomic<bool>* in, std::atomic<bool>* out) -> h::task<> {
              co_await h::to_thread([=] {
                *in = true;
                std::this_thread::sleep_for(20ms);  // main has returned meanwhile
                *out = true;
              });
            },
            &entered, &e);
        co_await until([&] { return entered.load(); });
      },
      ended);
  HOLDS(ended);
}

struct move_only {
  explicit move_only(int v) : value(std::make_unique<int>(v)) {}
  move_only(move_only&&) = default;
  move_only& operator=(move_only&&) = default;
  std::unique_ptr<int> value;
  char bulk[100] = {};  // too big to stand in the task's record
};

TEST_P(RUN, RUN_17_AResultIsMovedOut) {
  EQUAL(*run([]() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); }), 7);
  EQUAL(*run([]() -> h::task<move_only> {
           co_await h::yield_now();
           co_return move_only(8);
         }).value,
        8);
}

TEST_P(RUN, RUN_18_TenThousandTasksAtVariousAwaitsAllEndCancelled) {
  const int n = rounds(10'000);
  std::atomic<int> living{0};
  std::vector<h::task_handle<>> all;
  run(
      [](std::atomic<int>& count, std::vector<h::task_handle<>>& tasks, int many) -> h::task<> {
        struct things {
          h::mutex m;
          h::event e;
          h::semaphore s{0};
          h::queue<int> q;
          h::promise<int> p;
          std::atomic<int> started{0};
        };
        // They live as long as the last task does.
        auto shared = std::make_shared<things>();
        co_await shared->m.lock();
        auto blocked = [](int i, alive, std::shared_ptr<things> t,
                          h::task_handle<> other) -> h::task<> {
          ++t->started;
          switch (i % 9) {
            case 0: co_await h::sleep(1h); break;
            case 1: {
              auto f = t->p.get_future();
              (void)co_await f;
              break;
            }
            case 2:
              if (other.valid()) co_await other;
              co_await h::sleep(1h);
              break;
            case 3: {
              auto both = h::gather(sleep_long(), sleep_long());
              co_await both;
              break;
            }
            case 4: co_await h::wait_for(sleep_long(), 30min); break;
            case 5: co_await t->m.lock(); break;
            case 6: co_await t->e.wait(); break;
            case 7: (void)co_await t->q.get(); break;
            default:
              for (;;) co_await h::yield_now();
          }
        };
        for (int i = 0; i < many; ++i)
          tasks.push_back(h::create_task(blocked, i, alive(count), shared,
                                         tasks.empty() ? h::task_handle<>() : tasks.back()));
        co_await until([&] { return shared->started == many; });
      },
      living, all, n);
  EQUAL(living, 0);
  std::size_t cancelled = 0;
  for (auto& t : all) cancelled += t.cancelled() ? 1u : 0u;
  EQUAL(cancelled, all.size());
}

}  // namespace
