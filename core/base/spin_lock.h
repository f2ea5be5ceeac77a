// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// A lock for short sections, and how a thread waits that cannot be woken.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>
#include <heddle/core/simulated/world.h>

#include <cstdint>

namespace heddle::detail {

/// What a thread does between two looks at something that another thread is about to change: it
/// spins, then yields, then sleeps.
//
// Problem   The thread that is waited for may be preempted. Spinning then wastes a processor.
//           Yielding does not help when the waiter has a real-time priority (SCHED_FIFO): the
//           kernel gives the waiter the processor again at once, and both threads stand still.
// Rejected  A lock word with a third state, and a futex that unlock wakes. A plain store cannot see
//           waiters, so each unlock would have to be a locked operation: some 5 ns more for each of
//           the millions of sections that nobody waits for.
// Chosen    After 6 rounds of spinning (63 pauses) and 32 yields the waiter sleeps: 50 us at first,
//           doubled each time, 1 ms at most. Nobody has to wake it, so unlock stays a plain store.
// Cost      A waiter that sleeps learns late that its wait is over: by at most as long as it has
//           waited, and by at most 1 ms (and the kernel's slack). Only a thread that waits for a
//           preempted one comes so far.
// World     In a simulated world each pause is a step of that world, and nothing sleeps.
class backoff {
 public:
  void pause() noexcept {
    if (this_world() != nullptr) [[unlikely]]
      yield_thread();
    else
      pause_thread();
  }
  /// The same, but inside a world too the machine's thread waits: what it waits for happens on
  /// another thread of the machine.
  void pause_thread() noexcept {
    if (turns_ >= spins) return stand_back();
    for (unsigned i = 0; i < (1u << turns_); ++i) cpu_relax();
    ++turns_;
  }
  /// The next pause will sleep.
  [[nodiscard]] bool sleeps() const noexcept { return turns_ >= spins + yields; }

 private:
  static constexpr unsigned spins = 6;
  static constexpr unsigned yields = 32;
  static constexpr unsigned doublings = 5;

  HEDDLE_COLD void stand_back() noexcept;

  unsigned turns_ = 0;
};

/// A lock for sections of a few instructions in which nothing of the user's runs and nothing
/// blocks.
/// Cost      1 locked operation to take, a plain store to release; 4 bytes
/// Ordering  unlock() (release) pairs with the lock() (acquire) that follows
/// Blocking  a waiter spins, yields, and then sleeps between two looks, since the holder may be
///           preempted (see backoff)
class spin_lock {
 public:
  void lock() noexcept {
    noted(happening::locked);
    // pairs with unlock()
    if (held_.exchange(1, acquire) != 0) [[unlikely]]
      lock_slow();
  }
  /// For what simulated programs share with each other and with real threads, and hold only where
  /// they are uninterrupted. So a holder runs on another thread of the machine: the caller's world
  /// need not go on meanwhile, and its seed decides nothing.
  void lock_for_all_worlds() noexcept {
    noted(happening::locked);
    // pairs with unlock()
    if (held_.exchange(1, acquire) != 0) [[unlikely]]
      lock_slow_for_all_worlds();
  }
  bool try_lock() noexcept { return held_.load(relaxed) == 0 && held_.exchange(1, acquire) == 0; }
  // pairs with the lock() that follows
  void unlock() noexcept { held_.store(0, release); }

 private:
  HEDDLE_COLD void lock_slow() noexcept;
  HEDDLE_COLD void lock_slow_for_all_worlds() noexcept;

  atomic<std::uint32_t> held_{0};
};

}  // namespace heddle::detail
