// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/threads.h>

#include <heddle/sched/to_thread.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace conformance;
using support::comes;
using support::gate;

CASES(THR);

TEST_P(THR, THR_01_ACallRunsOnceOnAnotherThreadAndItsValueOrErrorComesBack) {
  run([]() -> h::task<> {
    std::atomic<int> runs{0};
    std::thread::id where;
    auto call = h::to_thread(
        [&](int a, std::unique_ptr<int> b) {
          ++runs;
          where = std::this_thread::get_id();
          HOLDS(h::current_loop_if_any() == nullptr);
          return a + *b;
        },
        40, std::make_unique<int>(2));
    EQUAL(co_await std::move(call), 42);
    EQUAL(runs, 1);
    HOLDS(where != std::this_thread::get_id());
    EQUAL(co_await ending(h::to_thread([] { throw error_e(); })), "E");
  });
}

TEST_P(THR, THR_02_MoreJobsThanThreadsQueueUpAndAllFinish) {
  options.threads = 2;
  run([]() -> h::task<> {
    for (const int n : {10, 100}) {
      std::atomic<int> runs{0}, inside{0}, most{0};
      std::vector<h::task<>> all;
      for (int i = 0; i < n; ++i)
        all.push_back(h::to_thread([&] {
          const int now = ++inside;
          int seen = most;
          while (now > seen && !most.compare_exchange_weak(seen, now)) {}
          std::this_thread::yield();
          --inside;
          ++runs;
        }));
      auto together = h::gather(std::move(all));
      co_await together;
      EQUAL(runs, n);
      HOLDS(most <= 2);
    }
  });
}

TEST_P(THR, THR_04_AJobCancelledInTheQueueNeverRuns) {
  options.threads = 1;
  run([]() -> h::task<> {
    gate g;
    std::atomic<bool> entered{false}, ran{false};
    auto& rt = h::current_runtime();
    auto first = rt.run_in_executor([&] {
      entered = true;
      g.pass();
    });
    co_await until([&] { return entered.load(); });
    auto future = rt.run_in_executor([&] { ran = true; });
    auto second = h::create_task(
        [](std::atomic<bool>& r) -> h::task<> { co_await h::to_thread([&] { r = true; }); },
        std::ref(ran));
    co_await until_waiting(second);
    HOLDS(future.cancel());
    HOLDS(future.cancelled());
    second.cancel();
    EQUAL(co_await ending(second), "Cancelled");
    g.open();
    co_await first;
    co_await h::to_thread([] {});
    HOLDS(!ran);
  });
}

TEST_P(THR, THR_06_TimersGoOnWhileAThreadBlocks) {
  h::runtime rt(with());
  rt.run([](h::runtime& r) -> h::task<> {
    gate g;
    std::atomic<bool> entered{false};
    auto blocked = h::create_task(
        [](gate& gg, std::atomic<bool>& in) -> h::task<> {
          co_await h::to_thread([&] {
            in = true;
            gg.pass();
          });
        },
        std::ref(g), std::ref(entered));
    co_await until([&] { return entered.load(); });
    for (unsigned i = 0; i < r.loop_count(); ++i) {
      std::atomic<int> fired{0};
      for (int k = 0; k < 5; ++k) r.loop(i).call_later(k * 1ms, [&] { ++fired; });
      co_await until([&] { return fired == 5; });
      EQUAL(fired, 5);
    }
    HOLDS(!blocked.done());
    g.open();
    co_await blocked;
  }(rt));
}

TEST_P(THR, THR_07_AJobThatEndsAfterTheLoopWasClosedDoesNotCallIt) {
  auto g = std::make_shared<gate>();
  auto held = std::make_shared<int>(1);
  std::atomic<bool> called{false};
  {
    h::runtime rt(with());
    rt.run([](h::runtime& r, std::shared_ptr<gate> gg, std::shared_ptr<int> hold,
              std::atomic<bool>& back) -> h::task<> {
      std::atomic<bool> entered{false};
      auto job = r.run_in_executor([gg, hold, &entered] {
        entered = true;
        gg->pass();
        return 1;
      });
      job.add_done_callback([&back](const h::future<int>& end) {
        if (!end.cancelled()) back = true;
      });
      auto waits_for_it = h::create_task(
          [](std::shared_ptr<gate> ggg) -> h::task<> {
            co_await h::to_thread([ggg] { ggg->pass(); });
          },
          gg);
      co_await until([&] { return entered.load(); });
      co_await until_waiting(waits_for_it);
      HOLDS(job.cancel());
      waits_for_it.cancel();
      EQUAL(co_await ending(waits_for_it), "Cancelled");
      HOLDS(!co_await r.shutdown_default_executor(1ms));
    }(rt, g, held, called));
    rt.close();
    HOLDS(held.use_count() > 1);  // it runs on, and keeps what it was given
  }
  g->open();
  HOLDS(comes([&] { return held.use_count() == 1; }));
  HOLDS(!called);
}

TEST_P(THR, THR_08_AShutdownWithATimeoutWarnsAndReturnsAndOneWithoutWaits) {
  auto g = std::make_shared<gate>();
  auto ended = std::make_shared<std::atomic<bool>>(false);
  run(
      [](std::shared_ptr<gate> gg, std::shared_ptr<std::atomic<bool>> e) -> h::task<> {
        auto& rt = h::current_runtime();
        auto job = rt.run_in_executor([gg, e] {
          gg->pass();
          *e = true;
        });
        const auto due = h::clock::now() + 5ms;
        const bool all = co_await rt.shutdown_default_executor(5ms);
        HOLDS(!all);
        HOLDS(h::clock::now() >= due);
        HOLDS(!*e);
        HOLDS(!job.done());
      },
      g, ended);
  HOLDS(!*ended);  // and run did not wait for it either
  EQUAL(report_count(), 1u);
  for (const auto& r : reports()) HOLDS(r.message.find("did not end") != std::string::npos);
  g->open();
  HOLDS(comes([&] { return ended->load(); }));

  run([]() -> h::task<> {
    auto& rt = h::current_runtime();
    std::atomic<bool> done{false};
    (void)rt.run_in_executor([&] {
      std::this_thread::sleep_for(5ms);  // so that the shutdown, which must wait, comes first
      done = true;
    });
    HOLDS(co_await rt.shutdown_default_executor());
    HOLDS(done);
  });
  EQUAL(report_count(), 1u);
}

TEST_P(THR, THR_09_AfterTheShutdownOfTheThreadsAJobIsAUsageError) {
  run([]() -> h::task<> {
    auto& rt = h::current_runtime();
    co_await h::to_thread([] {});
    HOLDS(co_await rt.shutdown_default_executor());
    HOLDS(co_await rt.shutdown_default_executor());  // again is harmless
    THROWS(h::usage_error, rt.run_in_executor([] {}));
    EQUAL(co_await ending(h::to_thread([] {})), "Usage");
    co_await h::sleep(100us);  // the loop goes on
  });
}

TEST_P(THR, THR_10_ThreadsOfOnesOwnAreUsedAndNotShutDownByTheRuntime) {
  h::thread_pool own(1);
  const auto there = own.submit([] { return std::this_thread::get_id(); }).get();
  run(
      [](h::thread_pool& pool, std::thread::id where) -> h::task<> {
        auto call = h::to_thread(pool, [] { return std::this_thread::get_id(); });
        HOLDS(co_await std::move(call) == where);
        auto future = pool.submit([](int a) { return a + 1; }, 1);
        EQUAL(co_await future, 2);
        EQUAL(co_await ending(h::to_thread(pool, [] { throw error_e(); })), "E");
        co_await h::current_runtime().shutdown_default_executor();
        EQUAL(co_await pool.submit([] { return 3; }), 3);
      },
      std::ref(own), there);
  EQUAL(own.submit([] { return 4; }).get(), 4);
  own.shutdown();
  THROWS(h::usage_error, own.submit([] {}));
  own.shutdown();
  THROWS(h::bad_value, h::thread_pool(0));
}

}  // namespace
