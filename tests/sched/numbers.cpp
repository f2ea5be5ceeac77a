// SPDX-License-Identifier: MIT
// Durations and counts that make no sense, or are as large as their type allows, in every verb that
// takes one.
#include <heddle/core/future.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/wait_many.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

class Numbers : public support::at_loops {};
HEDDLE_AT_LOOPS(Numbers);

constexpr seconds nan_constant{std::numeric_limits<double>::quiet_NaN()};

/// The same, so that the compiler does not know.
seconds nan_of_run_time() {
  volatile double zero = 0;
  return seconds(zero / zero);
}

h::task<int> seven() {
  co_await h::yield_now();
  co_return 7;
}

h::task<> refuse_everywhere(seconds d) {
  auto& loop = h::current_loop();
  std::atomic<int> calls{0};
  EXPECT_THROW((void)loop.call_later(d, [&] { ++calls; }), h::bad_value);
  EXPECT_THROW((void)h::sleep(d), h::bad_value);
  EXPECT_THROW((void)h::sleep(d, 1), h::bad_value);
  EXPECT_THROW((void)h::wait_for(seven(), d), h::bad_value);
  EXPECT_THROW((void)h::wait_for(seven(), std::optional(d)), h::bad_value);
  auto running = h::create_task(seven());
  EXPECT_THROW((void)h::wait_for(running, d), h::bad_value);
  EXPECT_THROW((void)h::timeout(d, [] { return seven(); }), h::bad_value);
  std::vector<h::task_handle<int>> all;
  all.push_back(running);
  EXPECT_THROW((void)h::wait(all, h::wait_until::all_completed, d), h::bad_value);
  EXPECT_THROW((void)h::as_completed(all, d), h::bad_value);
  EXPECT_THROW((void)h::current_runtime().shutdown_default_executor(d), h::bad_value);
  h::options o;
  EXPECT_THROW(o.slow_callback = d, h::bad_value);
  h::thread_pool pool(1);
  EXPECT_THROW((void)pool.shutdown(d), h::bad_value);
  auto still_open = pool.submit([] { return 1; });
  EXPECT_EQ(co_await std::move(still_open), 1);
  EXPECT_EQ(co_await running, 7);
  co_await h::yield_now();
  EXPECT_EQ(calls, 0);
}

TEST_P(Numbers, ADurationThatIsNoNumberIsRefusedByEveryVerb) {
  run(refuse_everywhere(nan_constant));
  run(refuse_everywhere(nan_of_run_time()));
  h::promise<int> p;
  auto f = p.get_future();
  EXPECT_THROW((void)f.wait_for(nan_constant), h::bad_value);
}

TEST_P(Numbers, ADurationBeyondTheTypeIsForEverAndOneBelowItIsPast) {
  run([]() -> h::task<> {
    using std::chrono::hours;
    EXPECT_EQ(co_await h::wait_for(seven(), hours::max()), 7);
    auto body = [] { return seven(); };
    EXPECT_EQ(co_await h::timeout(std::chrono::years(100'000), body), 7);
    co_await h::sleep(hours::min());
    std::atomic<bool> called{false};
    auto never = h::current_loop().call_later(hours::max(), [] { ADD_FAILURE(); });
    (void)h::current_loop().call_later(hours::min(), [&] { called = true; });
    auto seen = support::until([&] { return called.load(); });
    co_await std::move(seen);
    never.cancel();
    h::options o;
    o.slow_callback = hours::max();
    EXPECT_EQ(o.slow_callback, h::duration::max());
  }());
}

TEST(Numbers, AShutdownWithALimitInTheFarPastDoesNotWait) {
  h::thread_pool pool(1);
  std::atomic<bool> begun{false}, may_end{false};
  auto job = pool.submit([&] {
    begun = true;
    while (!may_end) std::this_thread::yield();
  });
  while (!begun) std::this_thread::yield();
  EXPECT_FALSE(pool.shutdown(std::chrono::hours::min()));
  may_end = true;
  job.wait();
}

TEST(Numbers, AFutureIsNotAwaitedWithALimitInTheFarPast) {
  h::promise<int> p;
  auto f = p.get_future();
  EXPECT_FALSE(f.wait_for(std::chrono::hours::min()));
  EXPECT_FALSE(f.wait_for(seconds(-std::numeric_limits<double>::infinity())));
  p.set_value(1);
  EXPECT_TRUE(f.wait_for(std::chrono::hours::max()));
}

TEST(Numbers, AThreadPoolRefusesNumbersOfThreadsThatCannotBe) {
  EXPECT_THROW(h::thread_pool(0), h::bad_value);
  EXPECT_THROW(h::thread_pool(static_cast<unsigned>(-1)), h::bad_value);
  h::options o = support::one_loop();
  o.threads = static_cast<unsigned>(-1);
  EXPECT_THROW(h::run(seven(), o), h::bad_value);
  o = {};
  o.loops = static_cast<unsigned>(-1);
  EXPECT_THROW(h::run(seven(), o), h::bad_value);
}

TEST_P(Numbers, AnIndexRangeMayEndWhereItsTypeDoes) {
  run([]() -> h::task<> {
    std::atomic<int> count{0};
    auto last = h::parallel_for_each(std::numeric_limits<std::int64_t>::max() - 3,
                                     std::numeric_limits<std::int64_t>::max(), 1,
                                     [&](std::int64_t) { ++count; });
    co_await std::move(last);
    EXPECT_EQ(count, 3);
    auto bytes =
        h::parallel_for_each(std::int8_t{-128}, std::int8_t{127}, 7, [&](std::int8_t) { ++count; });
    co_await std::move(bytes);
    EXPECT_EQ(count, 3 + 255);
    EXPECT_THROW((void)h::parallel_for_each(-1, std::size_t{5}, 1, [](std::size_t) {}),
                 h::bad_value);
    auto one = h::parallel_for_each(0, 10, ~std::size_t{0}, [&](int) { ++count; });
    co_await std::move(one);
    EXPECT_EQ(count, 3 + 255 + 10);
  }());
}

}  // namespace
