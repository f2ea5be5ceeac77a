// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/shared_queue.h>

#include <mutex>

namespace heddle::detail {

void shared_queue::push_without_memory(task_record& t) noexcept {
  const std::lock_guard hold(refused_lock_);
  refused_.push(work(t));
  refused_count_.store(refused_.size(), relaxed);
}

task_record* shared_queue::pop_refused() noexcept {
  const std::lock_guard hold(refused_lock_);
  const work item = refused_.pop();
  refused_count_.store(refused_.size(), relaxed);
  return item ? &item.as_task() : nullptr;
}

}  // namespace heddle::detail
