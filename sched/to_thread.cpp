// SPDX-License-Identifier: MIT
#include <heddle/sched/to_thread.h>

#include <heddle/core/base/assert.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/runtime/thread_pool.h>

namespace heddle {
namespace detail {

void submit_to_pool(offload_job& j) {
  j.context = inherited_context();
  j.ref();  // the thread's
  try {
    auto* s = this_runtime();
    if (!s) throw no_running_loop();
    s->pool.submit(j);
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

}  // namespace detail

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
