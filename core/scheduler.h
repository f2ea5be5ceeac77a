// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The one interface that core knows of a scheduler: `executor`, by which a task is made to run
// again, callbacks on their way to a loop, and doors. A door is a function that core calls and that
// it does not define. Most are defined by sched. Two are opened by sched when its first runtime
// starts. Until then, and for what belongs to no runtime, a callback runs in the thread that posts
// it, and an error that nobody retrieved is dropped.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/base/runtime_number.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/context_slot.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <source_location>

namespace heddle::detail {

class eventual;
class task_record;
struct promise_base;

class executor;

/// What a record keeps of its loop: where the loop stands, and the time of the task's last step.
//
// Problem   People ask since when a task waits. A look at the clock for each step costs more than
//           the step, and a record has no room for a time.
// Chosen    A loop looks at its clock now and then anyhow. It makes a word ready of its own address
//           and of that time, and a step stores the word where it stored the address. An address
//           has 48 bits, and loops stand at multiples of 4096. So 28 bits are left.
// Promised  The time has a step of 2^27 ns, 0.134 s, and comes round after 417 days. It is so old
//           as the loop's last look at its clock (worker::housekeep): some 60 steps at most.
// Cost      One load a step, and two instructions where a task is scheduled.
class home_word {
 public:
  static constexpr unsigned stamp_bits = 28;
  static constexpr unsigned unit_shift = 27;  // of nanoseconds
  static constexpr std::size_t alignment = 4096;

  home_word() noexcept = default;
  home_word(const executor* loop, std::uint64_t stamp) noexcept
      : bits_(reinterpret_cast<std::uintptr_t>(loop) << address_shift | (stamp & stamp_mask)) {}
  home_word(const executor* loop, time_point now) noexcept : home_word(loop, stamp_of(now)) {}
  static home_word from(std::uint64_t bits) noexcept {
    home_word w;
    w.bits_ = bits;
    return w;
  }

  [[nodiscard]] executor* loop() const noexcept {
    return reinterpret_cast<executor*>(address_in(bits_));
  }
  [[nodiscard]] std::uint64_t stamp() const noexcept { return bits_ & stamp_mask; }
  /// The same step of another loop.
  [[nodiscard]] home_word at(const executor* other) const noexcept { return {other, bits_}; }
  [[nodiscard]] std::uint64_t bits() const noexcept { return bits_; }

  static std::uint64_t stamp_of(time_point t) noexcept {
    return static_cast<std::uint64_t>(t.time_since_epoch().count()) >> unit_shift;
  }
  /// For readers too: the address of the loop, from the bits.
  static constexpr std::uint64_t address_in(std::uint64_t bits) noexcept {
    return (bits >> address_shift) & ~std::uint64_t{alignment - 1};
  }
  static constexpr std::uint64_t stamp_mask = (std::uint64_t{1} << stamp_bits) - 1;

 private:
  static constexpr unsigned address_shift = 16;
  static_assert(std::size_t{1} << (stamp_bits - address_shift) == alignment);

  std::uint64_t bits_ = 0;
};

/// What can run tasks: a loop.
class alignas(home_word::alignment) executor {
 public:
  executor() noexcept { tells_time(time_point()); }
  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;

  /// For the records of tasks that make a step here now. From any thread; what another thread gets
  /// is so old as this loop sleeps.
  [[nodiscard]] home_word as_home() const noexcept { return home_word::from(home_.load(relaxed)); }
  /// Makes `t`, which is active and the caller's to schedule, run again. From any thread; takes no
  /// lock that a caller may hold. The task may run on another thread before this returns.
  virtual void schedule(task_record& t) noexcept = 0;
  /// A task ended. The caller drops the runtime's reference afterwards.
  virtual void ended(task_record& t) noexcept = 0;

 protected:
  ~executor() = default;
  /// The loop has looked at its clock. Only its own thread.
  void tells_time(time_point now) noexcept { home_.store(home_word(this, now).bits(), relaxed); }

 private:
  // No point of overtaking in a simulation: what others read of it decides nothing.
  plain_atomic<std::uint64_t> home_{0};
};

/// What a scheduler needs to post a callback. It is made before, while an exception can still tell
/// somebody that memory is short.
struct callback_carrier {
  callback_carrier() = default;
  callback_carrier(const callback_carrier&) = delete;
  callback_carrier& operator=(const callback_carrier&) = delete;
  virtual ~callback_carrier() = default;
};

/// A callback on its way to a loop. Owned by whoever holds the pointer; destroyed without having
/// run if its runtime ends first.
struct callback_base : frame_cached {
  callback_base() = default;
  callback_base(const callback_base&) = delete;
  callback_base& operator=(const callback_base&) = delete;
  virtual ~callback_base() = default;
  /// Called once. What it throws is reported.
  virtual void run() = 0;

  context_map_ref context;  // in which it runs
  owned<callback_carrier> carrier;
};

/// Makes the carrier of `c`: after that, posting it needs no memory. Throws std::bad_alloc.
void prepare_callback(callback_base& c);

/// Runs `c`, which was prepared, on `home`, or on any loop of the runtime if `home` is null; never
/// inside the call. If the runtime is gone, or is none (0): run_here(c). From any thread; takes no
/// lock that a caller may hold.
using callback_poster = void (*)(runtime_number runtime, executor* home,
                                 owned<callback_base> c) noexcept;
using carrier_maker = callback_carrier* (*)();
/// Opens the door for callbacks. Once, before the first runtime runs.
void set_callback_poster(callback_poster f, carrier_maker make) noexcept;
void post_callback(runtime_number runtime, executor* home, owned<callback_base> c) noexcept;

/// Runs `c` in the calling thread. What it throws becomes a line on stderr, since there is no
/// exception handler without a runtime.
void run_here(owned<callback_base> c) noexcept;

/// Opens the door for errors that nobody retrieved. The reporter is called when the last reference
/// to `what` is dropped, and may take references.
using unretrieved_reporter = void (*)(std::uint16_t runtime, eventual& what,
                                      const std::exception_ptr& error) noexcept;
void set_unretrieved_reporter(unretrieved_reporter f) noexcept;
/// Reports `error`, and drops `what` once more. From ops.drop, as the last thing it does.
void report_unretrieved(eventual& what, const std::exception_ptr& error) noexcept;

/// The calling task, which is suspended, goes to the end of its loop's run queue. Its awaiter
/// decides whether the resumption is a cancellation point. Defined by sched.
void reschedule(task_record& t) noexcept;
/// The same for a task whose step took too long: the loop serves its timers and I/O next. Defined
/// by sched.
void give_way(task_record& t) noexcept;

/// Drops the last reference to `t` on a loop of its runtime; here, if the calling thread is one, or
/// if that runtime has ended. Defined by sched.
void drop_at_home(task_record& t) noexcept;

/// A coroutine that was made at `made` was destroyed and never awaited. Defined by sched, which
/// reports it in debug mode.
void warn_never_awaited(std::source_location made) noexcept;

/// True: a join around the strand that begins with `first` has failed (STRAND). Called under the
/// lock of a strand list; takes no lock. Defined by sched.
bool strand_abandoned(promise_base& first) noexcept;

}  // namespace heddle::detail
