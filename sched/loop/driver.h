// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// What a loop knows of I/O: something it can wait in. The reactors of io implement it.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/core/record/task_record.h>
#include <heddle/sched/loop/handler.h>

#include <string>

namespace heddle {

class loop;
enum class reactor_kind { automatic, epoll, uring };

struct options;

namespace detail {

/// What a loop can be asked to call a handler for, each time it happens.
enum class occasion { readable, writable, signal };

/// One a loop. `poll` is its owner's alone; `wake` and `rescue` are for other threads.
class driver {
 public:
  virtual ~driver() = default;

  /// Dispatches what is ready, having waited at most `limit` for something to be (zero: does not
  /// wait; duration::max(): for ever). Tasks that become ready are given to schedule(). Returns how
  /// many I/O events there were, wake-ups not counted.
  virtual unsigned poll(duration limit) = 0;

  /// Makes the owner's present or next waiting poll() return at once. From any thread, also a
  /// foreign one. Costs a system call: callers call it only when the owner is parked or about to
  /// park.
  virtual void wake() noexcept = 0;

  /// The owner is hogged by a task that does not return: dispatch what is ready here, from the
  /// calling thread (another loop's), without waiting. Movable tasks go to the caller's loop,
  /// pinned ones wait for their own. Concurrent with the owner coming back at any time.
  virtual unsigned rescue() noexcept = 0;

  /// For people and for io itself: "epoll" or "io_uring".
  [[nodiscard]] virtual const char* name() const noexcept = 0;

  /// Calls `what`, as a callback of `home` whose driver `watcher` is, each time `number` (a
  /// descriptor, or a signal) is ready; takes the place of who was called before. The driver of a
  /// runtime's first loop keeps these for all of its loops, and drops them when it ends. From any
  /// thread. Throws usage_error, bad_value, std::system_error.
  virtual void subscribe(occasion when, int number, loop& home, driver& watcher,
                         counted_ptr<handler> what);
  /// False: nobody was to be called. Throws bad_value for what is no signal.
  virtual bool unsubscribe(occasion when, int number);
};

/// Defined by io: makes the reactor of loop `index`. `kind` is never automatic (choose_reactor has
/// decided). Throws std::system_error.
owned<driver> make_driver(reactor_kind kind, unsigned index);
/// Defined by io: turns a wish (option, then HEDDLE_REACTOR, then a probe) into epoll or uring. An
/// explicit uring that the kernel forbids throws std::system_error with a message that says so and
/// what to do; automatic falls back to epoll and `note` says why.
reactor_kind choose_reactor(reactor_kind wish, std::string& note);

}  // namespace detail
}  // namespace heddle
