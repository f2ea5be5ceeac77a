// SPDX-License-Identifier: MIT
// to_thread: calls a blocking function on another thread, so that the loop goes on. to_arena: the
// same in a oneTBB task arena. thread_pool: threads of one's own.
//
//   const auto blocking = [](int n) { return n * n; };
//   const int square = co_await h::to_thread(blocking, 12);
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/clock.h>
#include <heddle/core/future.h>
#include <heddle/core/task.h>
#include <heddle/sched/runtime/offload.h>

#include <concepts>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace heddle {
namespace detail {

/// Holds one reference to a job during the wait for it.
template <class Job>
class job_ref {
 public:
  explicit job_ref(Job* j) noexcept : job_(j) {}
  job_ref(job_ref&& other) noexcept : job_(std::exchange(other.job_, nullptr)) {}
  ~job_ref() {
    if (job_) job_->unref();
  }
  Job* operator->() const noexcept { return job_; }
  Job& operator*() const noexcept { return *job_; }

 private:
  Job* job_;
};

template <class Job>
task<typename Job::result_type> await_job(job_ref<Job> job, void (*submit)(offload_job&)) {
  submit(*job);
  offload_job::wait_for_end end(*job);
  co_await end;
  co_return job->take();
}

template <class F, class... Args>
auto make_job(F&& f, Args&&... args) {
  using job = bound_job<std::decay_t<F>, std::decay_t<Args>...>;
  return job_ref<job>(new job(std::forward<F>(f), std::forward<Args>(args)...));
}

/// A job whose result goes to a future. Cancelled before it started, it does nothing.
template <class R, class F, class... Args>
class promised_job final : public offload_job {
 public:
  template <class G, class... As>
  explicit promised_job(G&& f, As&&... args)
      : function_(std::forward<G>(f)), arguments_(std::forward<As>(args)...) {
    promise_.state().belongs_to(0);  // so that tasks of any runtime, and threads, may await it
  }
  [[nodiscard]] future<R> result() const { return promise_.get_future(); }

 private:
  void invoke() override {
    if (promise_.done()) return;
    // If the future is cancelled meanwhile, the result is dropped.
    try {
      if constexpr (std::is_void_v<R>) {
        std::apply(std::move(function_), std::move(arguments_));
        (void)promise_.try_set_value();
      } else {
        R value = std::apply(std::move(function_), std::move(arguments_));
        (void)promise_.try_set_value(std::forward<R>(value));
      }
    } catch (...) { fail(std::current_exception()); }
  }
  void refused() noexcept override { fail(error_); }
  // Needs no memory. If the future was cancelled meanwhile, nothing is to be told.
  void fail(const std::exception_ptr& error) noexcept { (void)promise_.state().fail(error); }

  F function_;
  std::tuple<Args...> arguments_;
  promise<R> promise_;
};

template <class F, class... Args>
future<std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>> submit_promised(
    void (*submit)(void* pool, offload_job&), void* pool, F&& f, Args&&... args) {
  using result = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;
  using job_type = promised_job<result, std::decay_t<F>, std::decay_t<Args>...>;
  job_ref<job_type> job(new job_type(std::forward<F>(f), std::forward<Args>(args)...));
  auto end = job->result();
  submit(pool, *job);
  return end;
}

class thread_pool;

/// Gives a job to the pool, or the arena, of the calling loop's runtime. Throws no_running_loop.
void submit_to_pool(offload_job& j);
void submit_to_arena(offload_job& j);

}  // namespace detail

/// A pool of threads of one's own for blocking calls (asyncio's ThreadPoolExecutor). The threads
/// start on demand. The pool belongs to no runtime, and no runtime shuts it down. Its destructor
/// waits for all jobs.
/// Thread-safety  every function may be called from any thread
class thread_pool {
 public:
  /// A pool of at most `threads` threads. Throws bad_value for 0 and for more than 4,194,304, which
  /// -1 is.
  explicit thread_pool(unsigned threads);
  thread_pool(const thread_pool&) = delete;
  ~thread_pool();

  /// Calls `f(args...)` on one of the threads. They are kept as std::thread keeps its arguments.
  /// Any task of any runtime may await the future, and a thread may get() it. If the future is
  /// cancelled, a job that has not started never runs, and the result of a running one is dropped.
  /// Throws usage_error after shutdown; std::system_error if no thread can be started.
  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
  auto submit(F&& f, Args&&... args) {
    return detail::submit_promised(&give, pool_, std::forward<F>(f), std::forward<Args>(args)...);
  }
  /// Takes no new jobs, and blocks until the jobs there are have ended. A second call does nothing.
  /// Throws usage_error inside one of the jobs.
  void shutdown();
  /// The same, but blocks at most for `limit`. False: some jobs run on, and nothing waits for them
  /// any more. Throws bad_value for a NaN, and then nothing has begun.
  template <class Rep, class Period>
  bool shutdown(std::chrono::duration<Rep, Period> limit) {
    return shutdown_until(saturating_add(clock::now(), to_duration(limit)));
  }

 private:
  static void give(void* pool, detail::offload_job& j);
  bool shutdown_until(time_point limit);

  detail::thread_pool* pool_;
};

namespace detail {
template <class R, class F, class... Args>
task<R> await_submitted(heddle::thread_pool& pool, F f, Args... args) {
  auto end = pool.submit(std::move(f), std::move(args)...);
  co_return co_await std::move(end);
}
}  // namespace detail

/// Calls `f(args...)` on a thread of `pool`, which must outlive the call, and yields what it
/// returns. Throws usage_error if the pool was shut down; else throws and is cancelled as to_thread
/// without a pool.
template <class F, class... Args>
  requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[nodiscard]] auto to_thread(thread_pool& pool, F&& f, Args&&... args) {
  using result = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;
  return detail::await_submitted<result, std::decay_t<F>, std::decay_t<Args>...>(
      pool, std::forward<F>(f), std::forward<Args>(args)...);
}

/// Returns a future of the calling runtime that is chained with `source`, a future of another
/// runtime or of none. It ends as `source` ends: the value is copied, or moved if it cannot be
/// copied. Cancelling it cancels `source`.
/// Cost      two done-callbacks, each a turn of a loop
/// Throws    usage_error for an empty future
template <class T>
[[nodiscard]] future<T> wrap_future(future<T> source) {
  promise<T> result;
  auto wrapped = result.get_future();
  wrapped.add_done_callback([source](const future<T>& end) {
    if (end.cancelled()) (void)source.cancel();
  });
  source.add_done_callback([p = std::move(result)](const future<T>& end) mutable {
    if (p.done()) return;
    // `p` may be cancelled meanwhile: then nobody wants what came.
    try {
      if (end.cancelled()) {
        (void)p.cancel();
      } else if (auto error = end.exception()) {
        (void)p.try_set_exception(error);
      } else if constexpr (std::is_void_v<T>) {
        (void)p.try_set_value();
      } else if constexpr (std::is_reference_v<T> || std::is_copy_constructible_v<T>) {
        (void)p.try_set_value(end.result());
      } else {
        (void)p.try_set_value(std::move(end.result()));
      }
    } catch (...) {  // the copy failed: the waiting tasks get its error
      (void)p.try_set_exception(std::current_exception());
    }
  });
  return wrapped;
}

/// Calls `f(args...)` on a thread of the runtime's pool, and yields what it returns. For blocking
/// calls: the loop runs other tasks meanwhile.
///
/// `f` and `args` are kept (decayed) until the call has returned. The pool grows on demand up to
/// options.threads, and idle threads end.
/// Cost      one block and two queue operations: some 2 us there and back while both sides spin.
///           Each side spins for 20 us at most, and only while that pays. If the other side sleeps,
///           a wake-up of some 10 us each way.
/// Throws    what `f` throws; no_running_loop outside a runtime
/// Cancel    before `f` has started: it never runs. After that the wait ends at once, `f` runs on
///           to its end, and its result is dropped.
template <class F, class... Args>
  requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[nodiscard]] auto to_thread(F&& f, Args&&... args) {
  auto job = detail::make_job(std::forward<F>(f), std::forward<Args>(args)...);
  return detail::await_job(std::move(job), &detail::submit_to_pool);
}

/// Calls `f(args...)` inside the runtime's oneTBB task arena, and yields what it returns. `f` may
/// use every oneTBB algorithm. The arena has as many slots (oneTBB's word) as the runtime has
/// loops. All else as to_thread.
template <class F, class... Args>
  requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[nodiscard]] auto to_arena(F&& f, Args&&... args) {
  auto job = detail::make_job(std::forward<F>(f), std::forward<Args>(args)...);
  return detail::await_job(std::move(job), &detail::submit_to_arena);
}

}  // namespace heddle
