// SPDX-License-Identifier: MIT
// to_thread and to_arena: work that would hog a loop, done elsewhere.
#pragma once

#include <heddle/core/functional.h>
#include <heddle/core/task.h>
#include <heddle/sched/offload.h>

#include <concepts>
#include <type_traits>
#include <utility>

namespace heddle {
namespace detail {

/// Holds one reference to a job over a wait for it.
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

}  // namespace detail

/// Calls `f(args...)` on a thread of the runtime's pool and yields what it returns; the loops stay responsive. For blocking calls.
///
/// `f` and `args` are kept (decayed) until the call has returned. The pool grows on demand up to options.threads; idle threads end.
/// Cost      one block, two queue operations and a wake-up each way when the other side sleeps (some 10 us).
/// Throws    what `f` throws; no_running_loop outside a runtime.
/// Cancel    before `f` started: it never runs. Once it runs, the wait is abandoned at once; `f` runs on to its end alone and its result is
///           discarded.
template <class F, class... Args>
  requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[nodiscard]] auto to_thread(F&& f, Args&&... args) {
  auto job = detail::make_job(std::forward<F>(f), std::forward<Args>(args)...);
  return detail::await_job(std::move(job), &detail::submit_to_pool);
}

/// Calls `f(args...)` inside the runtime's oneTBB task arena and yields what it returns: `f` may use every oneTBB algorithm.
/// As to_thread in everything else. The arena has as many slots as the runtime has loops.
template <class F, class... Args>
  requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[nodiscard]] auto to_arena(F&& f, Args&&... args) {
  auto job = detail::make_job(std::forward<F>(f), std::forward<Args>(args)...);
  return detail::await_job(std::move(job), &detail::submit_to_arena);
}

}  // namespace heddle
