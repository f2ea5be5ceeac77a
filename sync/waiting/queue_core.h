// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// The part of a queue that does not depend on the type of its items: which tasks wait, and for
// what. It is compiled once.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>
#include <heddle/sync/waiting/operation.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>

namespace heddle::detail {

// Protocol LOOK-AGAIN.
//
// Problem   If a putter handed its item to a waiting getter, a getter that is then cancelled would
//           have to put the item back in front. For a moment the queue would seem emptier than it
//           is. And a priority queue would give what was least at the put, not at the get.
// Rejected  A coroutine with a loop around the wait. It cost a frame of 112 bytes for each waiter.
// Chosen    An item stays in the buffer until the getter that takes it runs. A waker only tells a
//           getter to look. So a cancelled getter never holds an item.
//
//   put     adds the item, and claims the getter that waits longest, if any. That getter is woken
//   look    a woken getter takes an item. If others were faster, it waits again in its old place,
//           which its ticket says. The loop that would resume the getter calls the look instead
//           (wait_base::look_again). So the coroutine goes on only when its wait is over
//   budget  a task whose step took too long stands back before it takes an item. It looks when its
//           next turn comes
//   cancel  a getter that was woken and then cancelled wakes the next one, if there is an item. A
//           cancellation that comes after the look found an item is thrown at the next wait
//
// Promised  No getter sleeps beside an item that no other getter is about to take. A getter is
//           linked under the lock, and only when the buffer is empty. So if there are items and
//           linked getters, other getters have been woken and have not looked yet: at least one
//           for each item.
//           The same holds for putters, with free room in place of items.
//
// The lock of getters_ guards all members. size_ is also read without the lock, as a hint. A task
// that reads "empty" or "full" takes the lock before it waits, and looks again under it.
class queue_core {
  template <class>
  friend struct layout_of;
  struct joining {
    static constexpr const char* name = "queue.join";
    queue_core* q;

    [[nodiscard]] bool try_now() noexcept { return q->all_done(); }
    [[nodiscard]] bool wait_in(waiter& w, task_record& t) noexcept { return q->wait_join(w, t); }
    void leave(waiter& w) noexcept { q->leave_join(w); }
    void give_back() noexcept {}
    void result() noexcept {}
  };

 public:
  queue_core(const queue_core&) = delete;
  queue_core& operator=(const queue_core&) = delete;

  /// The number of items. The four calls from here on are right at the moment of the call only.
  /// Each may be called on any thread.
  [[nodiscard]] std::size_t size() const noexcept;
  /// The bound; 0 means that there is none.
  [[nodiscard]] std::size_t max_size() const noexcept { return max_size_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] bool full() const noexcept { return max_size_ != 0 && size() >= max_size_; }
  /// shutdown() has been called, on any thread.
  [[nodiscard]] bool is_shut_down() const noexcept;

  /// Says that an item that was got has been dealt with. The last one ends all join() waits. On any
  /// thread. Throws bad_value when called more often than items were put.
  void task_done();
  /// Waits until task_done() was called for every item that was put. Throws cancelled_error.
  auto join() noexcept { return operation<joining>(joining{this}); }

 protected:
  enum class put_result : std::uint8_t { done, full, shut_down };
  enum class get_result : std::uint8_t { done, empty, shut_down };
  enum class side : std::uint8_t { getters, putters };

  explicit queue_core(std::ptrdiff_t max_size) noexcept
      : max_size_(max_size > 0 ? static_cast<std::size_t>(max_size) : 0) {}
  ~queue_core() = default;

  /// Holds the queue's lock. A comparison or an allocation may throw under it; then it is released.
  class hold {
   public:
    explicit hold(const queue_core& q) noexcept : q_(q) { q_.getters_.lock(); }
    hold(const hold&) = delete;
    ~hold() { q_.getters_.unlock(); }

   private:
    const queue_core& q_;
  };

  // The caller of the next four holds the lock.
  [[nodiscard]] put_result may_put() const noexcept {
    if (shut_down_) return put_result::shut_down;
    return looks_full() ? put_result::full : put_result::done;
  }
  [[nodiscard]] get_result may_get() const noexcept {
    if (!looks_empty()) return get_result::done;
    return shut_down_ ? get_result::shut_down : get_result::empty;
  }
  /// An item was added. Returns the task that the caller schedules after the unlock, or nullptr.
  [[nodiscard]] task_record* added() noexcept {
    size_.store(size_.load(relaxed) + 1, relaxed);
    ++unfinished_;
    return wake(getters_);
  }
  /// An item was taken. Returns the same.
  [[nodiscard]] task_record* taken() noexcept {
    size_.store(size_.load(relaxed) - 1, relaxed);
    return wake(putters_);
  }
  /// The queue was shut down before `call` was made. The error names the call and the task.
  //
  // A task that waits when the shutdown comes gets a queue_shut_down without text. Consumers end
  // that way; it is no mistake, so it costs no text. A task that comes after the shutdown is told
  // at length: making the text costs a fraction of what throwing costs.
  [[noreturn]] HEDDLE_COLD static void throw_shut_down(const char* call);
  /// Shuts down: all getters and putters that wait look again. `dropped` items count as done. The
  /// lock is held.
  void close(std::size_t dropped, work_list& todo) noexcept;

  /// A get or a put: its result so far, and its place in the queue while it waits.
  class turn : public waiter, protected ready_await {
   protected:
    enum class how : std::uint8_t {
      open,        // not ended yet; at the resume it means: cancelled
      done,        // the getter has its item, or the putter's item is in the queue
      shut_down,   // it came after the shutdown
      turned_off,  // it waited when the shutdown came
      failed,      // the buffer threw: error_ holds the exception
    };

    turn() noexcept {}
    turn(turn&& unused) { unused.check_fresh(); }
    ~turn() {}

    /// Suspends `t` in its place among `others`. False: a cancellation was due. The lock is held.
    [[nodiscard]] bool wait_among(wait_queue& others, std::uint64_t& tickets,
                                  task_record& t) noexcept;
    [[nodiscard]] bool has_waited() const noexcept { return ticket_ != 0; }
    /// Throws usage_error if this turn is over: then it has no item any more, or one that it got.
    void check_fresh() const {
      if (task || how_ != how::open) [[unlikely]]
        throw_awaited_again();
    }
    /// The task stands back before the queue is touched. The loop makes it look at its next turn.
    void looks_later(task_record& t) noexcept {
      waits_here(t);
      task = &t;
      t.waits_in(this);
      t.looks_first();
    }
    /// The task has told its record where it waits. A look may come by another loop, whose inbox
    /// takes that place of the record, so the turn keeps it for the wait after the look.
    void waits_here(const task_record& t) noexcept {
      if constexpr (notes_places) place_ = t.place_bits();
    }
    void was_shut_down() noexcept { how_ = has_waited() ? how::turned_off : how::shut_down; }
    /// Keeps the exception that is being handled.
    void fail() noexcept {
      std::construct_at(&error_, std::current_exception());
      how_ = how::failed;
    }
    /// Throws the buffer's exception. Only after fail().
    [[noreturn]] HEDDLE_COLD void rethrow();

    how how_ = how::open;

   private:
    friend class queue_core;
    std::uintptr_t place_;  // set by waits_here()
    union {
      std::uint64_t ticket_ = 0;  // 0: it has not waited; lower tickets waited first
      std::exception_ptr error_;  // after fail(); rethrow() destroys it
    };
  };

  // Without the lock: hints, which a look under the lock confirms.
  [[nodiscard]] bool looks_empty() const noexcept { return size_.load(relaxed) == 0; }
  [[nodiscard]] bool looks_full() const noexcept {
    return max_size_ != 0 && size_.load(relaxed) >= max_size_;
  }
  /// Suspends `t` among the getters or putters. False: a cancellation was due. The lock is held.
  [[nodiscard]] bool wait(turn& w, side of, task_record& t) noexcept {
    return w.wait_among(of == side::getters ? getters_ : putters_, tickets_, t);
  }
  /// The wait of `w` is over and did not succeed: throws the reason.
  [[noreturn]] HEDDLE_COLD void throw_reason(turn& w, side of);
  /// A canceller has claimed `w`.
  void leave(waiter& w, side of) noexcept;

 private:
  [[nodiscard]] static task_record* wake(wait_queue& q) noexcept {
    if (q.empty()) [[likely]]
      return nullptr;
    waiter* w = q.claim_first();
    if (!w) return nullptr;
    w->given = true;
    return w->task;
  }
  bool wait_join(waiter& w, task_record& t) noexcept;
  /// A woken task of this side will not take its chance: wakes the next one, if there is a chance.
  void pass_on(side of) noexcept;
  void leave_join(waiter& w) noexcept;
  [[nodiscard]] bool all_done() const noexcept;
  void claim_joiners(work_list& todo) noexcept;

  mutable wait_queue getters_;
  wait_queue putters_;
  wait_queue joiners_;
  const std::size_t max_size_;
  atomic<std::size_t> size_{0};
  std::size_t unfinished_ = 0;  // items that were put, less those that task_done() was called for
  std::uint64_t tickets_ = 0;
  bool shut_down_ = false;
};

}  // namespace heddle::detail
