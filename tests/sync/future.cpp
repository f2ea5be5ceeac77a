// SPDX-License-Identifier: MIT
// FUT of the conformance list, where it needs loops: done-callbacks, runtimes, threads.
#include "sync/support.h"

#include <heddle/core/future.h>

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace support;

class FutureOnLoops : public at_loops {};
HEDDLE_AT_LOOPS(FutureOnLoops);

TEST_P(FutureOnLoops, FUT_05_CallbacksRunLaterOnceAndInTheirOrder) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    std::mutex lock;
    std::string log;
    const auto note = [&](char c) {
      return [&lock, &log, c](h::future<int> done) {
        EXPECT_EQ(done.result(), 7);
        const std::lock_guard guard(lock);
        log += c;
      };
    };
    const auto logged = [&] {
      const std::lock_guard guard(lock);
      return log;
    };
    for (char c : {'1', '2', '3'}) f.add_done_callback(note(c));
    std::thread::id where;
    f.add_done_callback([&] { where = std::this_thread::get_id(); });
    const auto here = std::this_thread::get_id();
    p.set_value(7);
    EXPECT_EQ(logged(), "") << "never inside the set";
    f.add_done_callback(note('4'));
    EXPECT_EQ(logged(), "") << "never inside the adding";
    auto all_ran = until([&] { return logged().size() == 4; });
    co_await std::move(all_ran);
    EXPECT_EQ(logged(), "1234") << "they were added on one loop, where they run in order";
    EXPECT_EQ(where, here) << "they run where they were added";
  });
}

TEST_P(FutureOnLoops, FUT_08_ACallbackThatThrowsIsReportedAndTheOthersRun) {
  std::atomic<int> reports{0}, others{0};
  h::options o = with();
  o.exception_handler = [&](const h::error_context& c) {
    if (h::describe(c.error).find("from a callback") != std::string::npos) ++reports;
  };
  auto main = [](std::atomic<int>& seen, std::atomic<int>& ran) -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    f.add_done_callback([] { throw std::runtime_error("from a callback"); });
    f.add_done_callback([&ran] { ++ran; });
    p.set_value(1);
    auto both = until([&] { return ran == 1 && seen == 1; });
    co_await std::move(both);
    EXPECT_EQ(f.result(), 1);
  };
  h::run(main(reports, others), o);
  EXPECT_EQ(reports, 1);
}

TEST_P(FutureOnLoops, FUT_14_AFutureOfAnotherRuntimeCannotBeAwaited) {
  h::runtime other(with());
  auto make = []() -> h::task<h::promise<int>> { co_return h::promise<int>(); };
  auto p = other.run(make());
  auto f = p.get_future();
  run([f]() -> h::task<> {
    EXPECT_THROW((void)co_await f, h::usage_error);
    co_return;
  });
  p.set_value(1);
  EXPECT_EQ(f.get(), 1);
}

TEST_P(FutureOnLoops, AFutureMadeByAForeignThreadMayBeAwaitedByAll) {
  h::promise<int> p;
  run([&p]() -> h::task<> {
    auto body = [](h::future<int> f) -> h::task<int> { co_return co_await f; };
    auto t = h::create_task(body(p.get_future()));
    co_await until_waiting(t);
    std::thread setter([&p] { p.set_value(5); });
    EXPECT_EQ(co_await t, 5);
    setter.join();
  });
}

TEST_P(FutureOnLoops, FUT_17_WhatWasWrittenBeforeTheSetIsSeen) {
  run([]() -> h::task<> {
    struct data {
      int a = 0;
      int b = 0;
    };
    auto reader = [](h::future<> f, data& d) -> h::task<> {
      co_await f;
      EXPECT_EQ(d.a + d.b, 3);
    };
    auto writer = [](h::promise<> p, data& d) -> h::task<> {
      d.a = 1;
      d.b = 2;
      p.set_value();
      co_return;
    };
    for (int i = 0; i < 500; ++i) {
      data d;
      h::promise<> p;
      auto f = p.get_future();
      auto r = h::create_task(reader(f, d));
      auto w = h::create_task(writer(std::move(p), d));
      co_await r;
      co_await w;
    }
  });
}

TEST_P(FutureOnLoops, AnErrorThatNobodyRetrievedReachesTheExceptionHandlerOnce) {
  std::atomic<int> reports{0};
  h::options o = with();
  o.exception_handler = [&](const h::error_context& c) {
    if (h::describe(c.error).find("nobody looks") != std::string::npos) ++reports;
  };
  auto main = []() -> h::task<> {
    h::promise<int> p;
    (void)p.get_future();
    p.set_exception(std::runtime_error("nobody looks"));
    co_return;
  };
  h::run(main(), o);
  EXPECT_EQ(reports, 1);
}

TEST_P(FutureOnLoops, ACancelledSubmissionCancelsItsTask) {
  h::runtime rt(with());
  std::atomic<bool> started{false};
  auto sleeps = [](std::atomic<bool>& begun) -> h::task<int> {
    begun = true;
    co_await h::sleep(1h);
    co_return 1;
  };
  auto f = rt.submit(sleeps(started));
  while (!started) std::this_thread::yield();
  EXPECT_TRUE(f.cancel());
  EXPECT_THROW((void)f.get(), h::cancelled_error);
}

}  // namespace
