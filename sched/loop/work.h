// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// What a loop runs: a task's next step or a callback.
#pragma once

#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/context_slot.h>
#include <heddle/core/record/task_record.h>

#include <cstdint>
#include <typeinfo>

namespace heddle::detail {

class callback;

/// A task or a callback: a tagged pointer, or nothing. Copying one moves no reference.
class work {
 public:
  work() noexcept = default;
  explicit work(task_record& t) noexcept : bits_(reinterpret_cast<std::uintptr_t>(&t)) {}
  explicit work(callback& c) noexcept
      : bits_(reinterpret_cast<std::uintptr_t>(&c) | callback_tag) {}

  explicit operator bool() const noexcept { return bits_ != 0; }
  [[nodiscard]] bool is_task() const noexcept { return (bits_ & callback_tag) == 0; }
  [[nodiscard]] task_record& as_task() const noexcept {
    return *reinterpret_cast<task_record*>(bits_);
  }
  [[nodiscard]] callback& as_callback() const noexcept {
    return *reinterpret_cast<callback*>(bits_ & ~callback_tag);
  }
  [[nodiscard]] std::uintptr_t bits() const noexcept { return bits_; }
  static work from(std::uintptr_t bits) noexcept {
    work w;
    w.bits_ = bits;
    return w;
  }
  [[nodiscard]] work next() const noexcept;
  void set_next(work n) const noexcept;

 private:
  static constexpr std::uintptr_t callback_tag = 1;
  std::uintptr_t bits_ = 0;
};

/// A callback on its way to a loop. References are counted: where it waits (a queue, a timer, a
/// task's joiners) holds one, its handle another.
//
// A callback runs or is cancelled, never both. So its state goes queued -> running -> done or
// queued -> cancelled, and each step from `queued` is a compare-exchange. There is one exception. A
// callback that waits for its time is cancelled by a plain store under the lock of the timers: no
// thread can run it without that lock.
//
// Who may touch what
//   refs_, state_      any thread, atomically
//   next               the thread that holds the queue entry
//   context, captures  the maker until it is queued, then the winner of the step from `queued`
class callback : public frame_cached {
 public:
  virtual ~callback() = default;

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  /// Takes one more reference while no other thread can reach the callback. Costs no exchange.
  void ref_unshared() noexcept { refs_.store(refs_.load(relaxed) + 1, relaxed); }
  void unref() noexcept {
    // The holder of the only reference needs no exchange, since no other thread can take one.
    // pairs with the same of other holders
    if (refs_.load(acquire) == 1 || refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }
  /// True: the callback will not run. Its captures are destroyed now, so no lock may be held: their
  /// destructors are the user's. It no longer stands among the timers or joiners where it waited.
  bool cancel() noexcept;
  /// The callback was taken out of where it waited and will not run, since its runtime has ended.
  /// Takes over that reference. No lock may be held: it destroys the captures.
  void drop() noexcept;
  [[nodiscard]] bool cancelled() const noexcept {
    // pairs with cancel()
    return state_.load(acquire) == state::cancelled;
  }
  /// Calls the callable, unless the callback was cancelled. Throws what the callable throws.
  void run();
  /// The type of the callable, for reports.
  [[nodiscard]] virtual const std::type_info& function_type() const noexcept {
    return typeid(*this);
  }

  work next;
  context_map_ref context;  // in which it runs: a copy of the context in which it was queued

 protected:
  virtual void invoke() = 0;
  /// Destroys the captures: after the run, or when the callback is cancelled.
  virtual void release() noexcept = 0;
  /// True: the callback was waiting for its time. It is now cancelled and out of the timers, and
  /// the caller owns the timers' reference.
  virtual bool cancel_timer() noexcept { return false; }
  /// After the callback was cancelled. True: it was waiting for the end of a task. It is now out of
  /// the list of joiners, and the caller owns that list's reference.
  virtual bool disarm() noexcept { return false; }
  /// Cancels by a store. Only while a lock is held that a runner of this callback must take first.
  void set_cancelled_locked() noexcept { state_.store(state::cancelled, relaxed); }

 private:
  enum class state : std::uint8_t { queued, running, done, cancelled };
  atomic<std::uint32_t> refs_{1};
  atomic<state> state_{state::queued};
};

inline work work::next() const noexcept {
  return is_task() ? from(as_task().link()) : as_callback().next;
}
inline void work::set_next(work n) const noexcept {
  if (is_task())
    as_task().set_link(n.bits_);
  else
    as_callback().next = n;
}

}  // namespace heddle::detail
