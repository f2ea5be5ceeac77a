// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/offload.h>

#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/to_thread.h>

namespace heddle::detail {

bool offload_job::begin() noexcept {
  auto expected = state::queued;
  return state_.compare_exchange_strong(expected, state::running, acq_rel,
                                        relaxed);  // pairs with cancel()
}

task_record* offload_job::end() noexcept {
  task_record* waits = nullptr;
  state_.store(state::done, relaxed);
  queue_.lock();
  ended_ = true;
  if (waiter* w = queue_.claim_first()) waits = w->task;
  queue_.unlock();
  return waits;
}

task_record* offload_job::execute() noexcept {
  task_record* waits = nullptr;
  if (begin()) {
    context_slot own(std::move(context));
    context_scope inside(&own);
    try {
      invoke();
    } catch (...) { error_ = std::current_exception(); }
    waits = end();
  }
  unref();  // whoever waits has a reference: so the arguments do not end here and hold it up
  return waits;
}

task_record* offload_job::refuse(std::exception_ptr error) noexcept {
  task_record* waits = nullptr;
  if (begin()) {
    error_ = std::move(error);
    waits = end();
  }
  unref();
  return waits;
}

bool offload_job::wait_for_end::suspend(task_record& t) noexcept {
  job_->queue_.lock();
  const bool suspended = !job_->ended_ && job_->queue_.suspend(*this, t);
  job_->queue_.unlock();
  return suspended;
}

namespace {

runtime_state& runtime_here() {
  auto* s = this_runtime();
  if (!s) throw no_running_loop();
  return *s;
}

}  // namespace

void submit_to_pool(offload_job& j) {
  j.context = inherited_context();
  j.ref();  // the thread's
  try {
    runtime_here().pool.submit(j);
  } catch (...) {
    j.unref();
    throw;
  }
}

// The job goes through a pool thread, which enters the arena as its master: so the algorithm has
// that thread and oneTBB's workers, and the loops have none of it.
void submit_to_arena(offload_job& j) {
  j.in_arena = true;
  submit_to_pool(j);
}

}  // namespace heddle::detail

namespace heddle {

thread_pool::thread_pool(unsigned threads) : pool_(nullptr) {
  if (threads == 0) throw bad_value("a thread_pool without threads");
  pool_ = new detail::thread_pool(threads, threads);
}
thread_pool::~thread_pool() {
  HEDDLE_ASSERT(!pool_->is_in_own_job(), "a thread_pool was destroyed by one of its own jobs");
  delete pool_;
}

void thread_pool::give(void* pool, detail::offload_job& j) {
  j.ref();  // the thread's
  try {
    static_cast<detail::thread_pool*>(pool)->submit(j);
  } catch (...) {
    j.unref();
    throw;
  }
}

void thread_pool::shutdown() { (void)shutdown_until(time_point::max()); }

bool thread_pool::shutdown_until(time_point limit) {
  if (pool_->is_in_own_job())
    detail::throw_usage("shutdown of a thread_pool in one of its jobs: it would wait for itself");
  return pool_->shutdown(limit);
}

}  // namespace heddle
