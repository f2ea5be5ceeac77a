// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// The driver of a loop: what the loop waits in when it has nothing to run. This is all that sched
// knows of I/O; the reactors of io implement it.
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

/// The events for which a loop can call a handler, each time.
enum class occasion { readable, writable, signal };

/// Each loop has one. Only the loop calls `poll`; other threads call `wake` and `rescue`.
class driver {
 public:
  virtual ~driver() = default;

  /// Waits at most `limit` for an event, then dispatches all that are there. `limit` zero: does not
  /// wait; duration::max(): waits for ever. Tasks that become ready go to schedule(). Returns the
  /// number of I/O events, wake-ups not counted.
  virtual unsigned poll(duration limit) = 0;

  /// Makes the owner's present or next waiting poll() return at once. From any thread, foreign ones
  /// too. Costs a system call, so it is called only if the owner is parked or about to park.
  virtual void wake() noexcept = 0;

  /// The owner is hogged: a step on it does not return. Dispatches its events in the calling
  /// thread, that of another loop, without waiting. Movable tasks go to the caller's loop; pinned
  /// ones wait for their own. The owner may call poll() at any time meanwhile. Returns as poll().
  virtual unsigned rescue() noexcept = 0;

  /// True: it watches descriptors or signals, so something may happen that no task causes. From any
  /// thread. Cost: a look at each descriptor.
  [[nodiscard]] virtual bool watches() noexcept { return false; }

  /// "epoll" or "io_uring", for reports and for io itself.
  [[nodiscard]] virtual const char* name() const noexcept = 0;

  /// Calls `what` each time the descriptor or signal `number` is ready, as a callback of the loop
  /// `home`, whose driver is `watcher`. Replaces the handler that `number` had. The driver of a
  /// runtime's first loop keeps the handlers of all its loops, and drops them when it ends. From
  /// any thread. Throws usage_error, bad_value, std::system_error.
  virtual void subscribe(occasion when, int number, loop& home, driver& watcher,
                         counted_ptr<handler> what);
  /// False: `number` had no handler. Throws bad_value for a number that is no signal.
  virtual bool unsubscribe(occasion when, int number);
};

/// Defined by io. Makes the reactor of loop `index`. `kind` is not automatic: choose_reactor() has
/// decided. Throws std::system_error.
owned<driver> make_driver(reactor_kind kind, unsigned index);
/// Defined by io. Decides between epoll and uring, by the option, then HEDDLE_REACTOR, then a probe
/// of the kernel. An automatic choice falls back to epoll if the kernel forbids io_uring, and
/// `note` says why. An explicit uring that the kernel forbids throws std::system_error, whose
/// message says so and what to do.
reactor_kind choose_reactor(reactor_kind wish, std::string& note);

}  // namespace detail
}  // namespace heddle
