// SPDX-License-Identifier: MIT
// promise and future: FUT of the conformance list, as far as it needs no scheduler, and forwarding
// waits.
#include "core/pool.h"

#include <heddle/core/future.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace {

using namespace support;
using namespace std::chrono_literals;
namespace h = heddle;

template <class T>
h::task<> await_into(h::future<T> f, std::vector<T>& got) {
  got.push_back(co_await f);
}

h::task<> await_and_note(h::future<int> f, std::string& log) {
  try {
    log += std::to_string(co_await f);
  } catch (const h::cancelled_error& e) {
    log += std::string("cancelled:") + e.what();
    throw;
  } catch (const std::exception& e) { log += e.what(); }
}

TEST(Future, FUT_01_AFreshFutureHasNoResult) {
  h::promise<int> p;
  auto f = p.get_future();
  EXPECT_FALSE(f.done());
  EXPECT_FALSE(f.cancelled());
  EXPECT_THROW((void)f.result(), h::invalid_state_error);
  EXPECT_THROW((void)f.exception(), h::invalid_state_error);
}

TEST(Future, FUT_02_AResultIsSetOnce) {
  h::promise<int> p;
  auto f = p.get_future();
  p.set_result(42);
  EXPECT_TRUE(f.done());
  EXPECT_EQ(f.result(), 42);
  EXPECT_EQ(f.exception(), nullptr);
  EXPECT_THROW(p.set_value(43), h::invalid_state_error);
  EXPECT_THROW(p.set_exception(std::runtime_error("late")), h::invalid_state_error);
  EXPECT_FALSE(f.cancel());
  EXPECT_EQ(f.result(), 42);
}

TEST(Future, FUT_03_AnErrorIsTheSameObjectForEverybody) {
  h::promise<int> p;
  auto f = p.get_future();
  const auto error = std::make_exception_ptr(std::runtime_error("boom"));
  p.set_exception(error);
  const std::exception* first = nullptr;
  for (int i = 0; i < 2; ++i) try {
      (void)f.result();
      ADD_FAILURE();
    } catch (const std::exception& e) {
      EXPECT_TRUE(!first || first == &e);
      first = &e;
    }
  EXPECT_EQ(f.exception(), error);
  pool l;
  std::string log;
  auto a = l.spawn(await_and_note(f, log));
  auto b = l.spawn(await_and_note(f, log));
  l.run_all();
  EXPECT_EQ(log, "boomboom");
  EXPECT_FALSE(f.cancel());
  EXPECT_THROW(p.set_value(1), h::invalid_state_error);
}

TEST(Future, FUT_04_ACancelledFutureThrowsAndCannotBeSet) {
  h::promise<int> p;
  auto f = p.get_future();
  EXPECT_TRUE(f.cancel());
  EXPECT_FALSE(f.cancel());
  EXPECT_TRUE(f.done());
  EXPECT_TRUE(f.cancelled());
  EXPECT_THROW((void)f.result(), h::cancelled_error);
  EXPECT_THROW((void)f.exception(), h::cancelled_error);
  EXPECT_THROW(p.set_value(1), h::invalid_state_error);
  EXPECT_THROW(p.set_exception(std::runtime_error("late")), h::invalid_state_error);
}

TEST(Future, OfWhatTriesToSetTheFirstWins) {
  h::promise<int> a, b;
  EXPECT_TRUE(a.try_set_value(1));
  EXPECT_FALSE(a.try_set_value(2));
  EXPECT_FALSE(a.try_set_exception(std::runtime_error("late")));
  EXPECT_EQ(a.get_future().result(), 1);
  EXPECT_TRUE(b.try_set_exception(std::runtime_error("boom")));
  EXPECT_FALSE(b.try_set_value(1));
  EXPECT_THROW((void)b.get_future().result(), std::runtime_error);
  EXPECT_THROW((void)b.try_set_exception(std::exception_ptr()), h::bad_value);

  h::promise<void> nothing;
  h::promise<int&> reference;
  h::promise<std::unique_ptr<int>> cancelled;
  int x = 3;
  EXPECT_TRUE(nothing.try_set_value());
  EXPECT_FALSE(nothing.try_set_value());
  EXPECT_TRUE(reference.try_set_value(x));
  EXPECT_EQ(&reference.get_future().result(), &x);
  EXPECT_TRUE(cancelled.get_future().cancel());
  EXPECT_FALSE(cancelled.try_set_value(std::make_unique<int>(4)));
  EXPECT_TRUE(cancelled.cancelled());
}

TEST(Future, FUT_06_RemovingACallbackCountsHowOftenItWasAdded) {
  static int calls;
  static int others;
  calls = others = 0;
  h::promise<int> p;
  auto f = p.get_future();
  const auto counted = +[] { ++calls; };
  for (int i = 0; i < 3; ++i) f.add_done_callback(counted);
  f.add_done_callback([](h::future<int> done) { others += done.result(); });
  EXPECT_EQ(f.remove_done_callback(counted), 3u);
  EXPECT_EQ(f.remove_done_callback(counted), 0u);
  p.set_value(5);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(others, 5);
}

TEST(Future, ACallbackIsRemovedByTheIdThatAddingItGave) {
  int calls = 0;
  h::promise<> p;
  auto f = p.get_future();
  const auto a = f.add_done_callback([&] { calls += 1; });
  f.add_done_callback([&] { calls += 10; });
  EXPECT_EQ(f.remove_done_callback(a), 1u);
  EXPECT_EQ(f.remove_done_callback(a), 0u);
  p.set_value();
  EXPECT_EQ(calls, 10);
}

TEST(Future, WithoutALoopCallbacksRunInTheThreadThatEndsItInTheirOrder) {
  std::string log;
  h::promise<int> p;
  auto f = p.get_future();
  for (char c : {'a', 'b', 'c'}) f.add_done_callback([&log, c] { log += c; });
  p.set_value(1);
  f.add_done_callback([&log] { log += 'd'; });
  EXPECT_EQ(log, "abcd");
}

TEST(Future, ACancelledFutureCallsItsCallbacksToo) {
  int calls = 0;
  h::promise<int> p;
  auto f = p.get_future();
  f.add_done_callback([&](h::future<int> done) { calls += done.cancelled() ? 1 : 100; });
  f.cancel();
  EXPECT_EQ(calls, 1);
}

TEST(Future, FUT_09_AwaitingADoneFutureDoesNotSuspend) {
  pool l;
  h::promise<int> p;
  p.set_value(7);
  std::vector<int> got;
  auto t = l.spawn(await_into(p.get_future(), got));
  EXPECT_TRUE(l.run_one());
  EXPECT_TRUE(t->done());
  EXPECT_EQ(got, (std::vector{7}));
}

TEST(Future, FUT_10_AllWhoAwaitItGetTheResult) {
  pool l;
  h::promise<int> p;
  std::vector<int> got;
  auto a = l.spawn(await_into(p.get_future(), got));
  auto b = l.spawn(await_into(p.get_future(), got));
  l.run_all();
  EXPECT_EQ(a.state(), task_state::forwarding);
  p.set_value(3);
  EXPECT_TRUE(got.empty()) << "a set runs nobody";
  l.run_all();
  EXPECT_EQ(got, (std::vector{3, 3}));
}

TEST(Future, FUT_12_CancellingTheFutureCancelsWhoAwaitsItWithoutARequest) {
  pool l;
  h::promise<int> p;
  auto f = p.get_future();
  std::string log;
  auto t = l.spawn(await_and_note(f, log));
  l.run_all();
  EXPECT_TRUE(f.cancel("enough"));
  l.run_all();
  EXPECT_EQ(log, "cancelled:enough");
  EXPECT_EQ(t->how_ended(), outcome::cancelled);
  EXPECT_EQ(word::requests(t->state().load()), 0u);
}

TEST(Future, CANC_13_CancellingTheTaskCancelsTheFutureItAwaits) {
  pool l;
  h::promise<int> p;
  auto f = p.get_future();
  std::string log;
  auto t = l.spawn(await_and_note(f, log));
  l.run_all();
  EXPECT_TRUE(t.cancel());
  EXPECT_TRUE(f.cancelled());
  l.run_all();
  EXPECT_EQ(t->how_ended(), outcome::cancelled);
  EXPECT_THROW(p.set_value(1), h::invalid_state_error);
}

TEST(Future, CANC_14_BothCancelledAtOnceIsOneDelivery) {
  pool l;
  h::promise<int> p;
  auto f = p.get_future();
  std::string log;
  auto t = l.spawn(await_and_note(f, log));
  l.run_all();
  EXPECT_TRUE(f.cancel());
  EXPECT_TRUE(t.cancel());
  l.run_all();
  EXPECT_EQ(log, "cancelled:cancelled");
  EXPECT_EQ(t->how_ended(), outcome::cancelled);
}

TEST(Future, CANC_18_ACancellationAfterTheResultAndBeforeTheResumeIsDelivered) {
  pool l;
  h::promise<int> p;
  std::string log;
  auto t = l.spawn(await_and_note(p.get_future(), log));
  l.run_all();
  p.set_value(5);
  EXPECT_TRUE(t.cancel());
  EXPECT_TRUE(t.cancel());
  EXPECT_EQ(t->state().uncancel(), 1u);
  l.run_all();
  EXPECT_EQ(log, "cancelled:cancelled");
}

TEST(Future, ATaskWithACancellationDueForwardsItAndStillWaits) {
  pool l;
  h::promise<int> p;
  auto f = p.get_future();
  std::string log;
  auto t = l.spawn(await_and_note(f, log));
  EXPECT_TRUE(t.cancel());  // before it began to wait
  l.run_all();
  EXPECT_TRUE(f.cancelled());
  EXPECT_EQ(log, "cancelled:cancelled");
}

TEST(Future, MoveOnlyResultsAreMovedOut) {
  pool l;
  h::promise<std::unique_ptr<int>> p;
  std::unique_ptr<int> got;
  auto body = [](h::future<std::unique_ptr<int>> f, std::unique_ptr<int>& out) -> h::task<> {
    out = co_await std::move(f);
  };
  auto t = l.spawn(body(p.get_future(), got));
  l.run_all();
  p.set_value(std::make_unique<int>(9));
  l.run_all();
  EXPECT_EQ(*got, 9);
}

TEST(Future, ReferencesVoidAndLargeResultsAreKept) {
  pool l;
  int x = 1;
  h::promise<int&> reference;
  h::promise<> nothing;
  struct large {
    std::string text;
    char more[200];
  };
  h::promise<large> big;
  std::string log;
  auto body = [](h::future<int&> r, h::future<> n, h::future<large> b,
                 std::string& out) -> h::task<> {
    co_await n;
    (co_await r) = 5;
    out = (co_await b).text;
  };
  auto t = l.spawn(body(reference.get_future(), nothing.get_future(), big.get_future(), log));
  l.run_all();
  nothing.set_value();
  reference.set_value(x);
  big.set_value(large{"a text that does not fit into a small string", {}});
  l.run_all();
  EXPECT_EQ(x, 5);
  EXPECT_EQ(log, "a text that does not fit into a small string");
}

TEST(Future, APromiseDroppedUnsetIsBroken) {
  pool l;
  std::string log;
  task_ref t;
  {
    h::promise<int> p;
    t = l.spawn(await_and_note(p.get_future(), log));
    l.run_all();
  }
  l.run_all();
  EXPECT_EQ(log, h::broken_promise().what());
}

TEST(Future, AssigningToAPromiseBreaksWhatItHeld) {
  h::promise<int> p;
  auto f = p.get_future();
  p = h::promise<int>();
  EXPECT_THROW((void)f.result(), h::broken_promise);
  h::promise<int> moved = std::move(p);
  EXPECT_FALSE(p.valid());
  EXPECT_THROW(p.set_value(1), h::usage_error);
  moved.set_value(1);
}

TEST(Future, AnEmptyFutureSaysSo) {
  h::future<int> none;
  EXPECT_FALSE(none.valid());
  EXPECT_THROW((void)none.done(), h::usage_error);
}

std::atomic<int> reports{0};

TEST(Future, AnErrorThatNobodyRetrievedIsReportedOnce) {
  set_unretrieved_reporter(
      [](std::uint16_t, eventual&, const std::exception_ptr&) noexcept { ++reports; });
  reports = 0;
  {
    h::promise<int> p;
    auto f = p.get_future();
    auto copy = f;
    p.set_exception(std::runtime_error("nobody looks"));
    EXPECT_EQ(reports, 0);
  }
  EXPECT_EQ(reports, 1);
  {
    h::promise<int> p;
    auto f = p.get_future();
    p.set_exception(std::runtime_error("seen"));
    (void)f.exception();
  }
  {
    h::promise<int> dropped;
    (void)dropped.get_future();
  }
  EXPECT_EQ(reports, 1);
  set_unretrieved_reporter(nullptr);
}

TEST(Future, AForeignThreadBlocksUntilItIsSet) {
  h::promise<std::string> p;
  std::thread setter([&] { p.set_value("hello"); });
  EXPECT_EQ(p.get_future().get(), "hello");
  setter.join();
}

TEST(Future, WaitForEndsAtItsLimitAndLeavesNothingBehind) {
  h::promise<int> p;
  auto f = p.get_future();
  EXPECT_FALSE(f.wait_for(1ms));
  EXPECT_FALSE(f.wait_for(-1s));
  p.set_value(1);
  EXPECT_TRUE(f.wait_for(0s));
  EXPECT_TRUE(f.wait_for(std::chrono::duration<double>::max()));
}

TEST(Future, BlockingInALoopsThreadIsAnError) {
  pool l;
  h::promise<int> p;
  auto f = p.get_future();
  this_thread().loop = &l;
  EXPECT_THROW((void)f.get(), h::usage_error);
  this_thread().loop = nullptr;
}

TEST(Future, OfTwoThatSetAtOnceExactlyOneWins) {
  for (int round = 0; round < 500; ++round) {
    h::promise<int> p;
    auto f = p.get_future();
    std::atomic<int> ready{0}, won{0}, lost{0};
    auto set = [&](int v) {
      ++ready;
      while (ready.load() < 3) std::this_thread::yield();
      try {
        p.set_value(v);
        won += v;
      } catch (const h::invalid_state_error&) { ++lost; }
    };
    auto try_to_set = [&](int v) {
      ++ready;
      while (ready.load() < 3) std::this_thread::yield();
      if (p.try_set_value(v))
        won += v;
      else
        ++lost;
    };
    std::thread a(set, 100), b(try_to_set, 200);
    ++ready;
    while (ready.load() < 3) std::this_thread::yield();
    const bool cancelled = round % 2 == 0 && f.cancel();
    a.join();
    b.join();
    EXPECT_EQ(lost, cancelled ? 2 : 1);
    if (!cancelled) { EXPECT_EQ(f.result(), won); }
  }
}

class FutureStress : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Threads, FutureStress, testing::Values(1u, 2u, 8u));

// FUT-16, FUT-17: one thread ends futures while others await them, add callbacks, cancel.
TEST_P(FutureStress, FUT_16_EveryAwaiterResumesOnceAndEveryCallbackRunsOnce) {
  pool l;
  l.start(GetParam());
  constexpr int rounds = 2'000;
  std::atomic<int> resumed{0}, called{0}, wrong{0};
  struct payload {
    int a;
    int b;
  };
  auto body = [](h::future<payload*> f, std::atomic<int>& r, std::atomic<int>& w) -> h::task<> {
    try {
      auto* data = co_await f;
      if (data->b != 2 * data->a) ++w;
    } catch (const h::cancelled_error&) {}
    ++r;
  };
  std::vector<std::unique_ptr<payload>> all;
  std::vector<task_ref> tasks;
  for (int i = 0; i < rounds; ++i) {
    h::promise<payload*> p;
    auto f = p.get_future();
    for (int k = 0; k < 3; ++k) tasks.push_back(l.spawn(body(f, resumed, wrong)));
    f.add_done_callback([&] { ++called; });
    all.push_back(std::make_unique<payload>());
    all.back()->a = i;
    all.back()->b = 2 * i;
    if (i % 5 == 0) tasks[tasks.size() - 2].cancel();
    try {
      p.set_value(all.back().get());
    } catch (const h::invalid_state_error&) { EXPECT_TRUE(f.cancelled()); }
    f.add_done_callback([&] { ++called; });
  }
  l.quiesce();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(called, 2 * rounds);
  int never_started = 0;
  for (auto& t : tasks) never_started += t->done() ? 0 : 1;
  EXPECT_EQ(never_started, 0);
  EXPECT_EQ(resumed, 3 * rounds);
}

TEST_P(FutureStress, APromiseMayLiveInTheFrameOfTheTaskItWakes) {
  pool l;
  l.start(GetParam());
  std::atomic<h::promise<int>*> shared{nullptr};
  constexpr int rounds = 3'000;
  auto body = [](std::atomic<h::promise<int>*>& out) -> h::task<> {
    for (int i = 0; i < rounds; ++i) {
      h::promise<int> mine;
      auto f = mine.get_future();
      out.store(&mine, std::memory_order_release);
      EXPECT_EQ(co_await f, 4);
    }
  };
  auto t = l.spawn(body(shared));
  for (int i = 0; i < rounds; ++i) {
    h::promise<int>* p;
    while (!(p = shared.exchange(nullptr, std::memory_order_acq_rel))) std::this_thread::yield();
    p->set_value(4);
  }
  l.quiesce();
  EXPECT_TRUE(t->done());
}

}  // namespace
