// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// The part of a queue that does not depend on what it holds: who waits, and for what. Compiled
// once.
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

// Protocol LOOK-AGAIN. An item stays in the buffer until the getter that takes it runs, and a waker
// only says "look": so a cancelled getter never has an item in its hands, and a priority queue
// gives what is least when the getter looks, not when it was woken.
//
//   put    adds the item; claims the getter that waits longest, if any: woken
//   look   a woken getter takes an item; if others were faster it waits again, in the place it had
//          (tickets). The loop calls it in place of the resumption (wait_base::look_again), so that
//          the coroutine goes on when it has what it waited for, and the awaiter is all that waits
//   budget one whose step took too long stands back before it takes, and looks at its next turn
//   cancel a getter that was woken and then cancelled passes the wake on, if there is still an
//   item.
//          What comes after a look that found an item is thrown at the next wait
//
// A getter is linked only when the buffer is empty, under the lock. So with items and linked
// getters there are woken ones that have not looked yet, as many as items, or as getters: nobody
// sleeps beside an item. The same for putters, with room in place of items.
//
// One lock, that of getters_, guards all of it. size_ is also read without it: who sees an empty
// queue, or a full one, takes the lock only to wait, and looks again then.
class queue_core {
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

  [[nodiscard]] std::size_t size() const noexcept;
  /// 0: without bound.
  [[nodiscard]] std::size_t max_size() const noexcept { return max_size_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] bool full() const noexcept { return max_size_ != 0 && size() >= max_size_; }
  [[nodiscard]] bool is_shut_down() const noexcept;

  /// An item that was got has been dealt with. Throws bad_value when called more often than items
  /// were put.
  void task_done();
  /// Waits until task_done was called for every item that was put.
  auto join() noexcept { return operation<joining>(joining{this}); }

 protected:
  enum class put_result : std::uint8_t { done, full, shut_down };
  enum class get_result : std::uint8_t { done, empty, shut_down };
  enum class side : std::uint8_t { getters, putters };

  explicit queue_core(std::ptrdiff_t max_size) noexcept
      : max_size_(max_size > 0 ? static_cast<std::size_t>(max_size) : 0) {}
  ~queue_core() = default;

  /// Holds the queue's lock, also past an exception of a comparison or an allocation.
  class hold {
   public:
    explicit hold(const queue_core& q) noexcept : q_(q) { q_.getters_.lock(); }
    hold(const hold&) = delete;
    ~hold() { q_.getters_.unlock(); }

   private:
    const queue_core& q_;
  };

  // What follows is called with the lock held.
  [[nodiscard]] put_result may_put() const noexcept {
    if (shut_down_) return put_result::shut_down;
    return looks_full() ? put_result::full : put_result::done;
  }
  [[nodiscard]] get_result may_get() const noexcept {
    if (!looks_empty()) return get_result::done;
    return shut_down_ ? get_result::shut_down : get_result::empty;
  }
  /// An item was added or taken: whom to schedule after the unlock, or nullptr.
  [[nodiscard]] task_record* added() noexcept {
    size_.store(size_.load(relaxed) + 1, relaxed);
    ++unfinished_;
    return wake(getters_);
  }
  [[nodiscard]] task_record* taken() noexcept {
    size_.store(size_.load(relaxed) - 1, relaxed);
    return wake(putters_);
  }
  /// `call`: what was asked of a queue that had been shut down before. The error names the task
  /// that asked.
  //
  // Who waits in the queue when it is shut down gets a plain queue_shut_down: that is how consumers
  // end, and no mistake, so it is to cost them no text. One that comes back for more after its last
  // item is told at length, once: the text is a fraction of what throwing costs.
  [[noreturn]] HEDDLE_COLD static void throw_shut_down(const char* call);
  /// All who wait look again; `dropped` items count as done.
  void close(std::size_t dropped, work_list& todo) noexcept;

  /// A get or put: what it has come to, and its place in the queue while it waits.
  class turn : public waiter, protected ready_await {
   protected:
    enum class how : std::uint8_t {
      open,        // not yet; or else it was cancelled
      done,        // it has the item, or the item has gone
      shut_down,   // it came after the shutdown
      turned_off,  // it waited when the shutdown came
      failed,      // error_: an exception out of the buffer
    };

    turn() noexcept {}
    ~turn() {}

    /// Waits: true; false also when a cancellation was due. Lock held.
    [[nodiscard]] bool wait_among(wait_queue& others, std::uint64_t& tickets,
                                  task_record& t) noexcept;
    [[nodiscard]] bool has_waited() const noexcept { return ticket_ != 0; }
    /// Its task stands back before the queue is touched, and looks in place of the resumption.
    void looks_later(task_record& t) noexcept {
      task = &t;
      t.waits_in(this);
      t.looks_first();
    }
    void was_shut_down() noexcept { how_ = has_waited() ? how::turned_off : how::shut_down; }
    void fail() noexcept {
      std::construct_at(&error_, std::current_exception());
      how_ = how::failed;
    }
    /// It has failed.
    [[noreturn]] HEDDLE_COLD void rethrow();

    how how_ = how::open;

   private:
    friend class queue_core;
    union {
      std::uint64_t ticket_ = 0;
      std::exception_ptr error_;  // once it has failed
    };
  };

  /// What `side` is worth a look at, without the lock: a hint.
  [[nodiscard]] bool looks_empty() const noexcept { return size_.load(relaxed) == 0; }
  [[nodiscard]] bool looks_full() const noexcept {
    return max_size_ != 0 && size_.load(relaxed) >= max_size_;
  }
  /// Suspends `t` as one of a side. Lock held.
  [[nodiscard]] bool wait(turn& w, side of, task_record& t) noexcept {
    return w.wait_among(of == side::getters ? getters_ : putters_, tickets_, t);
  }
  /// It is over, and it is not done.
  [[noreturn]] HEDDLE_COLD void throw_reason(turn& w, side of);
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
  void pass_on(side of) noexcept;
  void leave_join(waiter& w) noexcept;
  [[nodiscard]] bool all_done() const noexcept;
  void claim_joiners(work_list& todo) noexcept;

  mutable wait_queue getters_;
  wait_queue putters_;
  wait_queue joiners_;
  const std::size_t max_size_;
  atomic<std::size_t> size_{0};
  std::size_t unfinished_ = 0;
  std::uint64_t tickets_ = 0;
  bool shut_down_ = false;
};

}  // namespace heddle::detail
