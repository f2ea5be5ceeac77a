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

/// A tagged pointer; as small as what it points to.
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

/// A callback on its way to a loop. Counted: the queue (or timer, or task) holds one reference, the
/// handle another.
//
// state_ queued -> running -> done, or queued -> cancelled, by compare-exchange: a callback runs or
// is cancelled, never both. One that waits for
//         its time becomes cancelled by a store, under the timers' lock.
class callback : public frame_cached {
 public:
  virtual ~callback() = default;

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  /// A reference more while nobody else knows of it.
  void ref_alone() noexcept { refs_.store(refs_.load(relaxed) + 1, relaxed); }
  void unref() noexcept {
    // Who has the only reference needs no exchange: nobody is there to take another.
    if (refs_.load(acquire) == 1 || refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }
  /// True: it will not run. What it captured is released now, and it is gone from where it waited.
  bool cancel() noexcept;
  /// It has come out of where it waited and will not run, since its runtime has ended. Takes over
  /// the reference. No lock may be held: it destroys what was captured.
  void drop() noexcept;
  [[nodiscard]] bool cancelled() const noexcept { return state_.load(acquire) == state::cancelled; }
  /// Runs it unless it was cancelled. Throws what it throws.
  void run();
  /// For people: the type of what is called.
  [[nodiscard]] virtual const std::type_info& function_type() const noexcept {
    return typeid(*this);
  }

  work next;
  context_map_ref context;  // in which it runs: a copy of that in which it was given to the loop

 protected:
  virtual void invoke() = 0;
  /// Releases what was captured: after it ran, or when it is cancelled.
  virtual void release() noexcept = 0;
  /// True: it was waiting for its time, does not any more, is cancelled, and the caller has the
  /// reference of what it waited in.
  virtual bool cancel_timer() noexcept { return false; }
  /// It has been cancelled. True: it was waiting for the end of a task, does not any more, and the
  /// caller has the reference.
  virtual bool disarm() noexcept { return false; }
  /// While it waits under a lock that whoever would run it takes: what an exchange decides
  /// elsewhere is decided already.
  void cancelled_alone() noexcept { state_.store(state::cancelled, relaxed); }

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
