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

/// Items for which a queue could get no memory. They are linked through themselves, so this list
/// needs none. Oldest first. Not thread-safe.
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

/// moodycamel's queue allocates by these, and takes null for an answer. So its memory comes from
/// operator new, as all memory of the library.
struct shared_queue_traits : moodycamel::ConcurrentQueueDefaultTraits {
  static void* malloc(std::size_t bytes) { return ::operator new(bytes, std::nothrow); }
  static void free(void* block) { ::operator delete(block); }
};

/// A queue of tasks that many threads push to and many loops take from: moodycamel's
/// ConcurrentQueue with a count beside it. FIFO for each producer only. Thread-safe.
///
/// A missed task. A dequeue may miss an element whose enqueue does not happen before it. A sleeper
/// that relied on the dequeue could sleep over a task. So the count is raised (seq_cst) after the
/// enqueue. A reader of a count above 0 has the counted enqueues behind it. The raise is also the
/// fence of LOOK-TWICE (idle.h).
///
/// No memory. The enqueue returns false when memory is short. The refused task would never run. So
/// it goes to a linked list that needs no memory and is taken from first. Between refused tasks and
/// others the order is not kept.
///
/// A known report of ThreadSanitizer. The queue (1.0.3) reuses its blocks. A consumer reads an
/// element and counts it off the block with a release. The consumer that counts off the last one
/// does so without an acquire, and gives the block back by an acquire-release exchange. So in C++'s
/// terms the other consumers' reads are not ordered before the block is filled again. On x86 and
/// ARM64 they are: each step is a read-modify-write that reads the step before it on another
/// processor, and a release follows what was read. This class relies on that.
class shared_queue {
 public:
  explicit shared_queue(simulation* s = nullptr) : simulated_(s) {}

  void push(task_record& t) noexcept {
    noted(happening::sent);
    if (simulated_) [[unlikely]]
      stand_in_.push(*simulated_, t);
    else if (!queue_.enqueue(&t)) [[unlikely]]
      push_without_memory(t);
    // pairs with empty() and pop(): LOOK-TWICE
    count_.fetch_add(1, seq_cst);
  }
  task_record* pop() noexcept {
    // pairs with push()
    if (count_.load(acquire) == 0) return nullptr;
    task_record* t = nullptr;
    if (simulated_) [[unlikely]] {
      t = stand_in_.pop(*simulated_);
      if (!t) return nullptr;
    } else if (refused_count_.load(relaxed) != 0 && (t = pop_refused()) != nullptr) [[unlikely]] {
      // `t` is a task that the queue had no memory for
    } else if (!queue_.try_dequeue(t)) {
      return nullptr;
    }
    count_.fetch_sub(1, relaxed);
    return t;
  }
  /// False may be stale: other threads may be taking the last elements at this moment.
  [[nodiscard]] bool empty() const noexcept {
    // pairs with push(): LOOK-TWICE
    return count_.load(seq_cst) <= 0;
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const auto n = count_.load(relaxed);
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }

 private:
  template <class>
  friend struct layout_of;
  HEDDLE_COLD void push_without_memory(task_record& t) noexcept;
  HEDDLE_COLD task_record* pop_refused() noexcept;

  moodycamel::ConcurrentQueue<task_record*, shared_queue_traits> queue_;
  atomic<std::int64_t> count_{0};
  spin_lock refused_lock_;
  linked_work refused_;                   // under refused_lock_
  atomic<std::size_t> refused_count_{0};  // written under refused_lock_
  simulation* const simulated_;
  simulated_queue stand_in_;
};

}  // namespace heddle::detail
