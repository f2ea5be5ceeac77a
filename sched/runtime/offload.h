// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// A job given to a thread: what to_thread and to_arena share.
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/wait.h>

#include <cstdint>
#include <exception>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

namespace heddle::detail {

/// A heap block with a word of its own. Counted: one reference for the task that waits, one for the
/// thread once it was given to one.
//
// Protocol JOB. state_: queued -> running -> done, or queued -> cancelled, by compare-exchange.
// Cancelled before it starts, it never runs; once it runs, the wait is abandoned, its arguments
// stay alive until it returns and its result is discarded. The waiting task is in a leaf wait on
// `done`; the job notifies under the wait queue's lock.
class offload_job : public frame_cached {
 public:
  virtual ~offload_job() = default;

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }
  /// On the thread: runs it, unless it was cancelled, and drops the thread's reference. The task
  /// that waits for it, if there is one, is the caller's to schedule: a pool thread says first that
  /// it is free again, or the task's next job would be another thread's.
  [[nodiscard]] task_record* execute() noexcept;
  /// The same when it cannot be run: it ends with `error`.
  [[nodiscard]] task_record* refuse(std::exception_ptr error) noexcept;
  offload_job* next = nullptr;  // in the pool's queue
  context_map_ref context;      // a copy of the caller's, in which it runs
  bool in_arena = false;        // the pool thread enters the oneTBB arena for it
  time_point queued_at{};       // if its wait is measured; written and read under the pool's lock
  /// True: it had not begun and never will.
  bool cancel() noexcept {
    auto expected = state::queued;
    return state_.compare_exchange_strong(expected, state::cancelled, acq_rel, relaxed);
  }

  /// True: cancel() came in time, so it never ran and never will. For a task whose wait was
  /// cancelled.
  [[nodiscard]] bool was_cancelled() const noexcept {
    return state_.load(relaxed) == state::cancelled;
  }

  /// A leaf wait for the end of the job. Cancelled: the job is cancelled too, or left to run alone.
  class wait_for_end : public queue_waiter {
   public:
    explicit wait_for_end(offload_job& j) noexcept : queue_waiter(j.queue_), job_(&j) {}
    const char* name() const noexcept override { return "to_thread"; }
    bool await_ready() const noexcept { return false; }
    template <heddle_promise P>
    bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
      return suspend(h.promise().suspending(h, where));
    }
    /// Throws the cancellation of the waiting task.
    void await_resume() {
      if (cancelled_at_resume(*this)) {
        (void)job_->cancel();
        throw_cancelled(*task);
      }
    }

   private:
    template <class>
    friend struct layout_of;
    bool suspend(task_record& t) noexcept;
    offload_job* job_;
  };

 protected:
  virtual void invoke() = 0;
  /// It cannot be run, and ends with `error_`. For those whose end nobody awaits here.
  virtual void refused() noexcept {}

  std::exception_ptr error_;

 private:
  template <class>
  friend struct layout_of;
  enum class state : std::uint8_t { queued, running, done, cancelled };

  [[nodiscard]] bool begin() noexcept;
  [[nodiscard]] task_record* end() noexcept;

  atomic<std::uint32_t> refs_{1};
  atomic<state> state_{state::queued};
  bool ended_ = false;  // under queue_'s lock
  wait_queue queue_;
};

template <class F, class... Args>
class bound_job final : public offload_job {
 public:
  using result_type = std::invoke_result_t<F, Args...>;

  template <class G, class... As>
  explicit bound_job(G&& f, As&&... args)
      : function_(std::forward<G>(f)), arguments_(std::forward<As>(args)...) {}

  result_type take() {
    if (error_) std::rethrow_exception(std::move(error_));
    return result_.take();
  }

 private:
  void invoke() override {
    if constexpr (std::is_void_v<result_type>)
      std::apply(std::move(function_), std::move(arguments_));
    else
      result_.emplace(std::apply(std::move(function_), std::move(arguments_)));
  }

  F function_;
  std::tuple<Args...> arguments_;
  promise_result<result_type> result_;
};

}  // namespace heddle::detail
