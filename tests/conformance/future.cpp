// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <array>
#include <thread>

namespace {

using namespace conformance;

CASES(FUT);

h::task<int> await_it(h::future<int> f) { co_return co_await f; }

TEST_P(FUT, FUT_01_AFreshOneHasNoResult) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    HOLDS(!f.done());
    HOLDS(!f.cancelled());
    THROWS(h::invalid_state_error, f.result());
    THROWS(h::invalid_state_error, f.exception());
    co_return;
  });
}

TEST_P(FUT, FUT_02_AResultIsSetOnce) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    p.set_result(42);
    HOLDS(f.done());
    HOLDS(!f.cancelled());
    EQUAL(f.result(), 42);
    HOLDS(f.exception() == nullptr);
    THROWS(h::invalid_state_error, p.set_result(43));
    THROWS(h::invalid_state_error, p.set_exception(error_e()));
    HOLDS(!f.cancel());
    HOLDS(!f.cancelled());
    EQUAL(co_await f, 42);
  });
}

TEST_P(FUT, FUT_03_AnErrorIsTheSameObjectForEverybody) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    const auto e = std::make_exception_ptr(error_e());
    p.set_exception(e);
    std::vector<const void*> seen;
    for (int i = 0; i < 2; ++i) try {
        (void)f.result();
      } catch (const error_e& caught) { seen.push_back(&caught); }
    for (int i = 0; i < 2; ++i) try {
        (void)co_await f;
      } catch (const error_e& caught) { seen.push_back(&caught); }
    EQUAL(seen.size(), 4u);
    for (const void* one : seen) EQUAL(one, seen.front());
    HOLDS(f.exception() == e);
    HOLDS(!f.cancel());
    THROWS(h::invalid_state_error, p.set_value(1));
    THROWS(h::invalid_state_error, p.set_exception(error_f()));
    HOLDS(f.exception() == e);
  });
}

TEST_P(FUT, FUT_04_ACancelledOneThrowsAndCannotBeSet) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    HOLDS(f.cancel());
    HOLDS(!f.cancel());
    HOLDS(f.done());
    HOLDS(f.cancelled());
    THROWS(h::cancelled_error, f.result());
    THROWS(h::cancelled_error, f.exception());
    THROWS(h::invalid_state_error, p.set_result(1));
    THROWS(h::invalid_state_error, p.set_exception(error_e()));
    EQUAL(co_await ending(f), "Cancelled");
  });
}

TEST_P(FUT, FUT_05_CallbacksRunLaterOnceAndInTheOrderOfAdding) {
  journal log;
  run(
      [](journal& log) -> h::task<> {
        h::promise<int> p;
        auto f = p.get_future();
        const auto note = [&log](std::string name) {
          return [&log, name](h::future<int> done) {
            log.add(name + (done.result() == 7 ? "" : "?"));
          };
        };
        f.add_done_callback(note("1"));
        f.add_done_callback(note("2"));
        f.add_done_callback(note("3"));
        p.set_result(7);
        EQUAL(log.joined(), "");
        f.add_done_callback(note("4"));
        EQUAL(log.joined(), "");
        co_await until([&] { return log.lines().size() == 4; });
        co_await settle();
        EQUAL(log.joined(), "1 2 3 4");  // added on one loop, which runs them in order
      },
      log);
}

TEST_P(FUT, FUT_06_RemovingACallbackRemovesEveryOneThatIsEqual) {
  static std::atomic<int> calls;
  calls = 0;
  run([]() -> h::task<> {
    std::atomic<int> others{0};
    h::promise<int> p;
    auto f = p.get_future();
    const auto c = +[] { ++calls; };
    for (int i = 0; i < 3; ++i) f.add_done_callback(c);
    f.add_done_callback([&](h::future<int> done) { others += done.result(); });
    EQUAL(f.remove_done_callback(c), 3u);
    EQUAL(f.remove_done_callback(c), 0u);
    p.set_result(5);
    co_await until([&] { return others == 5; });
    co_await settle();
    EQUAL(calls.load(), 0);
  });
}

TEST_P(FUT, FUT_08_ACallbackThatThrowsIsReportedAndTheOthersRun) {
  run([]() -> h::task<> {
    std::atomic<int> others{0};
    h::promise<int> p;
    auto f = p.get_future();
    f.add_done_callback([&] { ++others; });
    f.add_done_callback([] { throw error_e(); });
    f.add_done_callback([&] { ++others; });
    p.set_result(5);
    co_await until([&] { return others == 2; });
    EQUAL(f.result(), 5);
    EQUAL(co_await f, 5);
  });
  EQUAL(report_count(), 1u);
  EQUAL(name_of(reports().at(0).error), "E");
}

TEST_P(FUT, FUT_09_AwaitingADoneOneDoesNotSuspend) {
  run([]() -> h::task<> {
    h::promise<int> p;
    p.set_result(3);
    auto f = p.get_future();
    const auto loop = h::current_loop().index();
    std::atomic<bool> ran{false};
    h::current_loop().call_soon([&] { ran = true; });
    for (int i = 0; i < 10; ++i) EQUAL(co_await f, 3);
    EQUAL(h::current_loop().index(), loop);
    HOLDS(!ran);
    co_await until([&] { return ran.load(); });
  });
}

TEST_P(FUT, FUT_10_AllWhoAwaitItGetTheResult) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto a = h::create_task(await_it(p.get_future()));
    auto b = h::create_task(await_it(p.get_future()));
    co_await until_waiting(a);
    co_await until_waiting(b);
    p.set_result(3);
    EQUAL(co_await a, 3);
    EQUAL(co_await b, 3);
  });
}

TEST_P(FUT, FUT_12_CancellingItCancelsWhoAwaitsItWithoutARequest) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    auto t = h::create_task(await_it(f));
    co_await until_waiting(t);
    HOLDS(f.cancel());
    EQUAL(co_await ending(t), "Cancelled");
    HOLDS(t.cancelled());
    EQUAL(t.cancelling(), 0u);
    // Caught, it is an error like any other: the task goes on.
    h::promise<int> q;
    auto g = q.get_future();
    auto s = h::create_task(
        [](h::future<int> g) -> h::task<int> {
          try {
            co_return co_await g;
          } catch (const h::cancelled_error&) {}
          co_await h::yield_now();
          co_return 1;
        },
        g);
    co_await until_waiting(s);
    g.cancel();
    EQUAL(co_await s, 1);
  });
}

TEST_P(FUT, FUT_14_OneOfAnotherRuntimeCannotBeAwaited) {
  h::runtime other(with());
  auto p = other.run([]() -> h::task<h::promise<int>> { co_return h::promise<int>(); }());
  auto f = p.get_future();
  run(
      [](h::future<int> f) -> h::task<> {
        EQUAL(co_await ending(f), "Usage");
        // Those of one runtime cross its loops freely.
        h::promise<int> mine;
        h::runtime& here = h::current_runtime();
        std::vector<h::task_handle<int>> all;
        for (unsigned i = 0; i < here.loop_count(); ++i) {
          h::task_options o;
          o.loop = &here.loop(i);
          all.push_back(h::create_task(await_it(mine.get_future()), o));
        }
        for (auto& t : all) co_await until_waiting(t);
        mine.set_value(4);
        for (auto& t : all) EQUAL(co_await t, 4);
      },
      f);
  p.set_value(1);
  EQUAL(f.get(), 1);
}

TEST_P(FUT, FUT_16_CallbacksAndAwaitersThatRaceTheEndAreServedOnce) {
  const int n = rounds(100'000);
  std::vector<h::promise<int>> promises(static_cast<std::size_t>(n));
  std::vector<std::atomic<std::uint8_t>> called(static_cast<std::size_t>(n));
  std::atomic<int> at{0};
  // Stays a little ahead of, or a little behind, those who ask.
  std::thread completes([&] {
    for (int i = 0; i < n; ++i) {
      while (at.load() + 32 < i) std::this_thread::yield();
      promises[static_cast<std::size_t>(i)].set_value(i);
    }
  });
  run(
      [](auto& promises, auto& called, std::atomic<int>& at) -> h::task<> {
        auto asks = [](auto& promises, auto& called, std::atomic<int>& at,
                       bool leads) -> h::task<int> {
          int resumed = 0;
          for (std::size_t i = 0; i < promises.size(); ++i) {
            auto f = promises[i].get_future();
            auto* mine = &called[i];
            f.add_done_callback([mine] { ++*mine; });
            if (co_await f == static_cast<int>(i)) ++resumed;
            if (leads) at = static_cast<int>(i);
          }
          co_return resumed;
        };
        auto a = h::create_task(asks(promises, called, at, true));
        auto b = h::create_task(asks(promises, called, at, false));
        auto c = h::create_task(asks(promises, called, at, false));
        const int n = static_cast<int>(promises.size());
        EQUAL(co_await a, n);
        EQUAL(co_await b, n);
        EQUAL(co_await c, n);
        auto all_called = [&] {
          for (auto& one : called)
            if (one != 3) return false;
          return true;
        };
        co_await until(all_called);
        co_await settle();
        HOLDS(all_called());
      },
      promises, called, at);
  completes.join();
}

TEST_P(FUT, FUT_17_WhatWasWrittenBeforeTheSetIsSeenAfterTheAwait) {
  run([]() -> h::task<> {
    int wrong = 0;
    for (int i = 0; i < rounds(2000); ++i) {
      std::array<int, 8> data{};
      h::promise<> p;
      auto reader = h::create_task(
          [](h::future<> f, const std::array<int, 8>& data) -> h::task<int> {
            co_await f;
            int sum = 0;
            for (int v : data) sum += v;
            co_return sum;
          },
          p.get_future(), std::cref(data));
      auto writer = h::create_task(
          [](h::promise<> p, std::array<int, 8>& data, int i) -> h::task<> {
            data.fill(i);
            p.set_value();
            co_return;
          },
          std::move(p), std::ref(data), i);
      if (co_await reader != 8 * i) ++wrong;
      co_await writer;
    }
    EQUAL(wrong, 0);
  });
}

}  // namespace
