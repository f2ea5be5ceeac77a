// SPDX-License-Identifier: MIT
// What outlives its runtime meets no other runtime that was given the same short number.
#include <heddle/core/future.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/registry.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/sleep.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;

class RuntimeNumbers : public support::at_loops {
 protected:
  /// Ends `first`, and makes a runtime that is given the same short number.
  static std::unique_ptr<h::runtime> successor(std::unique_ptr<h::runtime>& first,
                                               const h::options& o) {
    const auto id = short_number_of(*first);
    first.reset();
    for (;;) {
      // All but one of those between the two are made and have ended.
      auto next = std::make_unique<h::runtime>(o);
      const auto now = short_number_of(*next);
      if (now == id) return next;
      const auto between = static_cast<std::uint16_t>(id - now);
      next.reset();
      // Two short numbers are never given, so this comes before it, never behind.
      if (between > 3) h::detail::skip_runtime_numbers(between - 3u);
    }
  }
  static std::uint16_t short_number_of(h::runtime& rt) {
    std::uint16_t id = 0;
    rt.run([](std::uint16_t& id) -> h::task<> {
      id = h::detail::this_runtime()->id;
      co_return;
    }(id));
    return id;
  }
};

/// A promise and its future that belong to `rt`.
std::pair<h::promise<int>, h::future<int>> pending_of(h::runtime& rt) {
  std::optional<h::promise<int>> promise;
  rt.run([](auto& promise) -> h::task<> {
    promise.emplace();
    co_return;
  }(promise));
  auto future = promise->get_future();
  return {std::move(*promise), std::move(future)};
}

TEST_P(RuntimeNumbers, ALateCallbackOfATaskRunsOnNoStrangersLoop) {
  auto first = std::make_unique<h::runtime>(with());
  std::optional<h::task_handle<int>> ended;
  first->run([](auto& ended) -> h::task<> {
    ended = h::create_task([]() -> h::task<int> { co_return 1; });
    co_await *ended;
  }(ended));
  auto second = successor(first, with());
  // A foreign thread: the callback would run on a loop of the task's runtime, and that has ended.
  bool ran = false;
  EXPECT_THROW(ended->add_done_callback([&] { ran = true; }), h::usage_error);
  second->close();
  EXPECT_FALSE(ran);
}

TEST_P(RuntimeNumbers, ALateCallbackOfAFutureRunsOnNoStrangersLoop) {
  auto first = std::make_unique<h::runtime>(with());
  auto [promise, future] = pending_of(*first);
  std::optional<std::thread::id> where;
  future.add_done_callback([&] { where = std::this_thread::get_id(); });
  auto second = successor(first, with());
  promise.set_value(1);
  second->close();
  // As for every future whose runtime has ended: in the thread that ends it.
  ASSERT_TRUE(where.has_value());
  EXPECT_EQ(*where, std::this_thread::get_id());
}

TEST_P(RuntimeNumbers, AnErrorThatIsNeverRetrievedIsReportedToNoStranger) {
  support::reports strangers;
  auto o = with();
  strangers.install(o);
  auto first = std::make_unique<h::runtime>(with());
  std::optional<h::future<>> future;
  std::optional<h::task_handle<>> task;
  first->run([](auto& future, auto& task) -> h::task<> {
    h::promise<> p;
    future = p.get_future();
    p.set_exception(std::runtime_error("of a future"));
    task = h::create_task([]() -> h::task<> {
      co_await h::yield_now();
      throw std::runtime_error("of a task");
    });
    auto done = support::until_done(*task);
    co_await std::move(done);
  }(future, task));
  auto second = successor(first, o);
  future.reset();
  task.reset();
  second->close();
  EXPECT_EQ(strangers.count(), 0u);
}

TEST_P(RuntimeNumbers, ALateHandleOfATimerCancelsNothingOfAStrangers) {
  auto first = std::make_unique<h::runtime>(with());
  h::callback_handle late = first->loop(0).call_later(1h, [] {});
  auto second = successor(first, with());
  late.cancel();
  EXPECT_EQ(second->run([]() -> h::task<int> {
    co_await h::sleep(1ms);
    co_return 1;
  }()),
            1);
}

TEST_P(RuntimeNumbers, ATaskOfAnEndedRuntimeIsAwaitedByNoStranger) {
  auto first = std::make_unique<h::runtime>(with());
  std::optional<h::task_handle<int>> ended;
  first->run([](auto& ended) -> h::task<> {
    ended = h::create_task([]() -> h::task<int> { co_return 7; });
    co_await *ended;
  }(ended));
  auto second = successor(first, with());
  EXPECT_TRUE(second->run([]() -> h::task<bool> {
    co_return h::all_tasks().size() == 1;  // the main task alone
  }()));
  EXPECT_EQ(ended->result(), 7);
}

TEST_P(RuntimeNumbers, AFutureOfAnEndedRuntimeIsRefused) {
  auto first = std::make_unique<h::runtime>(with());
  auto [promise, future] = pending_of(*first);
  auto second = successor(first, with());
  EXPECT_THROW(second->run(future), h::bad_value);
  EXPECT_TRUE(second->run([](h::future<int> f) -> h::task<bool> {
    try {
      co_await f;
    } catch (const h::usage_error&) { co_return true; }
    co_return false;
  }(future)));
}

HEDDLE_AT_LOOPS(RuntimeNumbers);

}  // namespace
