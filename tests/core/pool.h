// SPDX-License-Identifier: MIT
// A hand-made executor, so that core's waiting protocol is tried without the scheduler that is
// built on it.
#pragma once

#include <heddle/core/base/thread_state.h>
#include <heddle/core/record/wait.h>
#include <heddle/core/task.h>

#include <gtest/gtest.h>

#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace support {

using namespace heddle::detail;

/// A counted reference to a task of a pool.
class task_ref {
 public:
  task_ref() = default;
  explicit task_ref(task_record* t) noexcept : t_(t) {}
  task_ref(task_ref&& other) noexcept : t_(std::exchange(other.t_, nullptr)) {}
  task_ref& operator=(task_ref&& other) noexcept {
    std::swap(t_, other.t_);
    return *this;
  }
  ~task_ref() {
    if (t_) t_->unref();
  }
  task_record& operator*() const noexcept { return *t_; }
  task_record* operator->() const noexcept { return t_; }
  bool cancel() const noexcept { return cancel_now(*t_); }
  [[nodiscard]] task_state state() const noexcept { return word::state(t_->state().load()); }

 private:
  task_record* t_ = nullptr;
};

/// Runs tasks in the order they become ready: by hand (run_all), or on threads of its own (start,
/// finish).
class pool final : public executor {
 public:
  pool() = default;
  ~pool() { finish(); }

  /// A task that the pool runs. Its errors end the test.
  task_ref spawn(heddle::task<> body) {
    static constexpr eventual_ops ops{[](eventual& self) noexcept {
                                        auto& t = static_cast<task_record&>(self);
                                        if (t.how_ended() == outcome::error)
                                          std::destroy_at(&error_in(t.storage()));
                                        t.recycle();
                                      },
                                      nullptr, nullptr};
    static constexpr frame_end end{&ended, nullptr};
    auto* t = task_record::make(kind::task, ops, 2);
    auto frame = body.release();
    promise_base& p = frame.promise();
    p.record = reinterpret_cast<std::uintptr_t>(t);
    p.end.ends_by(end);
    t->resumes_at(frame.address());
    t->at_home(this);
    schedule(*t);
    return task_ref(t);
  }

  void schedule(task_record& t) noexcept override {
    const std::lock_guard lock(mutex_);
    if (!queued_.insert(&t).second) ADD_FAILURE() << "a task was scheduled twice";
    ready_.push_back(&t);
    ++busy_;
    wake_.notify_one();
  }
  void ended(task_record&) noexcept override {}

  /// Runs in the calling thread until nothing is ready.
  void run_all() {
    while (auto* t = take(false)) run(*t);
  }
  /// Runs one step; false: nothing was ready.
  bool run_one() {
    auto* t = take(false);
    if (t) run(*t);
    return t != nullptr;
  }
  void start(unsigned threads) {
    for (unsigned i = 0; i < threads; ++i)
      threads_.emplace_back([this] {
        while (auto* t = take(true)) run(*t);
      });
  }
  /// Blocks until nothing is ready and nothing runs.
  void quiesce() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return busy_ == 0; });
  }
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      wake_.notify_all();
    }
    for (auto& t : threads_) t.join();
    threads_.clear();
  }

  /// Gives the turn away; no cancellation point.
  struct yield_awaiter {
    pool* self;
    static bool await_ready() noexcept { return false; }
    template <heddle_promise P>
    void await_suspend(std::coroutine_handle<P> h) const {
      self->schedule(h.promise().suspending(h));
    }
    static void await_resume() noexcept {}
  };
  yield_awaiter yield() noexcept { return {this}; }

 private:
  static std::coroutine_handle<> ended(promise_base& frame) noexcept {
    auto& p = static_cast<task_promise<void>&>(frame);
    auto& t = frame.enclosing();
    auto how = p.result.how();
    if (how == outcome::error) {
      try {
        std::rethrow_exception(p.result.error());
      } catch (const heddle::cancelled_error&) { how = outcome::cancelled; } catch (...) {
        ::new (t.storage()) std::exception_ptr(std::current_exception());
      }
    }
    std::coroutine_handle<task_promise<void>>::from_promise(p).destroy();
    (void)end_task(t, how, nullptr);
    t.unref();
    return std::noop_coroutine();
  }

  task_record* take(bool wait) {
    std::unique_lock lock(mutex_);
    if (wait) wake_.wait(lock, [this] { return !ready_.empty() || stopping_; });
    if (ready_.empty()) return nullptr;
    auto* t = ready_.front();
    ready_.pop_front();
    queued_.erase(t);
    return t;
  }
  void run(task_record& t) {
    EXPECT_EQ(word::state(t.state().load()), task_state::active) << "a task that waits was resumed";
    auto& self = this_thread();
    self.current = &t;
    std::coroutine_handle<>::from_address(t.frame()).resume();
    this_thread().current = nullptr;
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) idle_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<task_record*> ready_;
  std::set<task_record*> queued_;
  unsigned busy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

/// A fresh seed for each run, printed when the test fails. HEDDLE_TEST_SEED repeats one.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("HEDDLE_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  return seed;
}

}  // namespace support
