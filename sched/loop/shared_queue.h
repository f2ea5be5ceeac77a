// SPDX-License-Identifier: MIT
// Internal to sched.
// A queue of tasks that many push to and many take from: a movable inbox, the injection queue. Not
// a public header.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/record/task_record.h>
#include <heddle/sched/loop/work.h>
#include <heddle/sched/simulation/simulation.h>

#include <concurrentqueue/concurrentqueue.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace heddle::detail {

/// Items that a queue had no memory for, linked through themselves, oldest first. Not thread-safe.
class linked_work {
 public:
  [[nodiscard]] bool empty() const noexcept { return !first_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void push(work item) noexcept {
    item.set_next({});
    if (first_)
      last_.set_next(item);
    else
      first_ = item;
    last_ = item;
    ++size_;
  }
  work pop() noexcept {
    const work item = first_;
    if (!item) return item;
    first_ = item.next();
    --size_;
    return item;
  }

 private:
  work first_, last_;
  std::size_t size_ = 0;
};

/// Its memory comes from where all memory of the library comes from; null when there is none.
struct shared_queue_traits : moodycamel::ConcurrentQueueDefaultTraits {
  static void* malloc(std::size_t bytes) { return ::operator new(bytes, std::nothrow); }
  static void free(void* block) { ::operator delete(block); }
};

/// A queue that many push to and many take from: moodycamel's, with the count that its contract
/// asks for beside it.
///
/// Its contract is FIFO per producer only, and a dequeue may miss an element whose enqueue does not
/// happen before it. The count is raised (seq_cst) after the enqueue, so who reads a count above 0
/// has the enqueues it counts behind it; it is also the fence of LOOK-TWICE.
///
/// Its enqueue answers false when memory is short. A task that was refused would never run again;
/// so it goes to a list that needs none, which is taken first. Order among such tasks and the
/// others is not kept.
///
/// We rely on its reuse of blocks (1.0.3). A consumer reads an element and counts it off its block
/// with a release; the consumer that counts the last one does so without an acquire, and gives the
/// block back by an acquire and release exchange. In the terms of C++ the other consumers' reads
/// are therefore not ordered before the block is filled again, and ThreadSanitizer says so. On x86
/// and on ARM64 they are: each step is a read-modify-write that reads the one before it on another
/// processor, and a release follows what was read.
class shared_queue {
 public:
  explicit shared_queue(simulation* s = nullptr) : simulated_(s) {}

  void push(task_record& t) noexcept {
    noted(happening::sent);
    if (simulated_) [[unlikely]]
      stand_in_.push(*simulated_, t);
    else if (!queue_.enqueue(&t)) [[unlikely]]
      push_without_memory(t);
    count_.fetch_add(1, seq_cst);  // pairs with empty(): LOOK-TWICE
  }
  task_record* pop() noexcept {
    if (count_.load(acquire) == 0) return nullptr;
    task_record* t = nullptr;
    if (simulated_) [[unlikely]] {
      t = stand_in_.pop(*simulated_);
      if (!t) return nullptr;
    } else if (refused_count_.load(relaxed) != 0 && (t = pop_refused()) != nullptr) [[unlikely]] {
      // `t` is one that there was no memory for
    } else if (!queue_.try_dequeue(t)) {
      return nullptr;
    }
    count_.fetch_sub(1, relaxed);
    return t;
  }
  /// False may be stale by elements that others take at this moment.
  [[nodiscard]] bool empty() const noexcept { return count_.load(seq_cst) <= 0; }
  [[nodiscard]] std::size_t size() const noexcept {
    const auto n = count_.load(relaxed);
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }

 private:
  HEDDLE_COLD void push_without_memory(task_record& t) noexcept;
  HEDDLE_COLD task_record* pop_refused() noexcept;

  moodycamel::ConcurrentQueue<task_record*, shared_queue_traits> queue_;
  atomic<std::int64_t> count_{0};
  spin_lock refused_lock_;
  linked_work refused_;                   // under refused_lock_
  atomic<std::size_t> refused_count_{0};  // written under it
  simulation* const simulated_;
  simulated_queue stand_in_;
};

}  // namespace heddle::detail
