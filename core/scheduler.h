// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The one interface that core knows of a scheduler: `executor`, by which a task is made to run
// again, callbacks on their way to a loop, and doors. A door is a function that core calls and that
// it does not define. Most are defined by sched. Two are opened by sched when its first runtime
// starts. Until then, and for what belongs to no runtime, a callback runs in the thread that posts
// it, and an error that nobody retrieved is dropped.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/base/runtime_number.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/context_slot.h>

#include <cstdint>
#include <exception>
#include <source_location>

namespace heddle::detail {

class eventual;
class task_record;
struct promise_base;

/// What can run tasks: a loop.
class executor {
 public:
  /// Makes `t`, which is active and the caller's to schedule, run again. From any thread; takes no
  /// lock that a caller may hold. The task may run on another thread before this returns.
  virtual void schedule(task_record& t) noexcept = 0;
  /// A task ended. The caller drops the runtime's reference afterwards.
  virtual void ended(task_record& t) noexcept = 0;

 protected:
  ~executor() = default;
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
