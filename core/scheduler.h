// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// What core asks of a scheduler that it does not know: doors that sched opens when its first
// runtime starts.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/base/runtime_number.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/context_slot.h>

#include <source_location>

namespace heddle::detail {

class task_record;
struct promise_base;

/// Whoever can run tasks: a loop.
class executor {
 public:
  /// Makes `t`, which is active and the caller's to schedule, run again. From any thread; takes no
  /// lock that a caller may hold.
  virtual void schedule(task_record& t) noexcept = 0;
  /// A task ended: the runtime's reference is dropped by the caller afterwards.
  virtual void ended(task_record& t) noexcept = 0;

 protected:
  ~executor() = default;
};

/// What a scheduler needs to post a callback, made while there is still somebody to tell that
/// memory is short.
struct callback_carrier {
  callback_carrier() = default;
  callback_carrier(const callback_carrier&) = delete;
  callback_carrier& operator=(const callback_carrier&) = delete;
  virtual ~callback_carrier() = default;
};

/// A callback on its way to a loop. Owned by whoever holds the pointer; destroyed unrun if its
/// runtime ends first.
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

/// Runs `c` on `home`, or on any loop of the runtime if that is null; never inside the call. A
/// runtime that is gone, or that was never there (0): run_here(c). May be called on any thread;
/// takes no lock that a caller may hold. `c` was prepared.
using callback_poster = void (*)(runtime_number runtime, executor* home,
                                 owned<callback_base> c) noexcept;
using carrier_maker = callback_carrier* (*)();
void set_callback_poster(callback_poster f, carrier_maker make) noexcept;
void post_callback(runtime_number runtime, executor* home, owned<callback_base> c) noexcept;

/// Runs `c` in the calling thread; what it throws becomes a line on stderr, since nobody else is
/// there to tell.
void run_here(owned<callback_base> c) noexcept;

/// A task gives the processor up: it goes to the end of its loop's run queue. Whether its resume is
/// a cancellation point is the awaiter's to say. Defined by sched.
void reschedule(task_record& t) noexcept;
/// The same of a task whose step took too long: the loop serves its timers and I/O next. Defined by
/// sched.
void give_way(task_record& t) noexcept;

/// Drops the last reference to `t` on a loop of its runtime; here, if the calling thread is one, or
/// if that runtime has ended. Defined by sched.
void drop_at_home(task_record& t) noexcept;

/// A coroutine that stands at `made` was destroyed and never awaited. Defined by sched.
void tell_never_awaited(std::source_location made) noexcept;

/// A join around the strand that begins with `first` has failed. Defined by sched.
bool strand_abandoned(promise_base& first) noexcept;

}  // namespace heddle::detail
