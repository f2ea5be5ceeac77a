// SPDX-License-Identifier: MIT
// Internal to sched.
// The numbers of the scheduling policy, each with its unit and its reason. What they decide between
// is listed at the head of worker.h. What bench/ measured of them stands in README.md.
#pragma once

#include <heddle/core/clock.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::policy {

// ----------------------------------------------------- fairness within a loop

/// Steps between two looks of a busy loop at its inboxes, its timers and its reactor. Without a
/// look what comes from outside would starve. A look reads the clock, which takes as long as two or
/// three short steps. The number is that of Go's scheduler and Tokio's.
inline constexpr std::uint64_t fair_every = 61;

/// Time between two looks of a busy loop at its reactor. A look is a system call of some 400 ns,
/// where the step of a task that yields takes 15.
inline constexpr duration poll_every = std::chrono::microseconds(50);

/// Tasks in a row that a loop takes from its next slot. Two tasks that wake each other would
/// otherwise keep all others from running.
inline constexpr unsigned next_slot_cap = 16;

/// Tasks that a loop takes out of its movable inbox at one look. The tasks behind them stay where
/// thieves find them.
inline constexpr unsigned inbox_batch = 64;

/// Tasks that a loop takes out of the injection queue at one look. It takes fewer of them, since
/// all loops of the runtime share that queue.
inline constexpr unsigned injection_batch = 16;

// ----------------------------------------------------- forks beside the queues

/// Time that forks run before the loop looks at timers, I/O and its queues. With turns of 50 us a
/// timer beside a storm of forks is 25 to 45 us late, and empty forks are as fast as without turns.
inline constexpr duration fork_turn = std::chrono::microseconds(50);

/// Forks in a turn, before any turn was timed. Few, so that the first turn is not too long.
inline constexpr std::uint32_t first_forks_a_turn = 64;

/// Most forks in a turn, however short they are: as many empty ones as fit into fork_turn.
inline constexpr std::uint32_t most_forks_a_turn = 2048;

/// Most steps from the queues between two turns of forks: all that was ready, if it was not more.
/// With one step between two turns, 64 tasks that yield made a timer 5 ms late.
inline constexpr std::size_t queue_turn = 256;

// ------------------------------------------------------------ search and steal

/// Rounds over all other loops before a loop parks, if searching has paid lately: some 15 us. A
/// wake-up costs 7 to 30 us, so a loop that finds work within the spin has saved one.
inline constexpr unsigned most_spins = 12;

/// Pauses of the processor between two rounds of a search: about a microsecond, which is the time
/// that the owner of a sole task gets to run it.
inline constexpr unsigned pauses_between_rounds = 16;

/// Pauses of the processor of a loop that may not search, since enough others do. It then looks at
/// what comes to itself.
inline constexpr unsigned pauses_of_the_refused = 64;

/// A sleep that was shorter than this would have been cheaper to spin for: the next one spins.
inline constexpr duration spin_would_do = std::chrono::microseconds(30);

/// Other loops that a loop looks at before it counts as a searcher. With many loops the line of
/// that count is what all of them would wait for.
inline constexpr unsigned most_uncounted_looks = 16;

/// Rounds of a search beyond the last one, while the last one left a sole task to its owner.
inline constexpr unsigned sole_rounds = 3;

/// Tasks that a thief takes from a run queue at once: half of them, and at most so many. They are
/// copied on the thief's stack.
inline constexpr std::size_t most_stolen = 128;

/// Looks of a thief at the owner of a deque, which is in a section of a few instructions, before
/// the thief gives up. The owner may have been preempted there.
inline constexpr unsigned looks_at_a_busy_owner = 1000;

// ------------------------------------------------------------------- wake-ups

/// Tasks left in the run queues of thief and victim that are worth one more wake-up. With one task
/// in place of sixteen, a storm of create_task at 64 loops woke 2000 times instead of 70, and was
/// half as fast.
inline constexpr std::size_t tasks_for_one = 16;

/// Most pushes in a row of a sole task that wake nobody, after such wake-ups were in vain. Each
/// wake-up in vain doubles the number up to this one. Once a thief takes such a task it is 0 again.
inline constexpr unsigned most_sole_skips = 1023;

// --------------------------------------------------- the watch over hogged loops

/// A loop whose count of steps has not moved for this long, and which is not parked, is hogged. Its
/// timers, its I/O and the task in its slot are served by another loop.
inline constexpr duration watch_every = std::chrono::milliseconds(1);

/// Time between two looks of a busy loop at others. It is a fraction of watch_every, so that a
/// hogged loop is found soon after that has passed.
inline constexpr duration watch_hogged_every = std::chrono::microseconds(250);

/// Other loops that a busy loop looks at each time. Each look moves a cache line here. When each
/// loop looked at all others, that took 5 % of all time with 128 loops.
inline constexpr unsigned watch_window = 16;

/// Time that a watcher sleeps between two looks at all loops. A watcher is a parked loop that
/// naps.
inline constexpr duration watcher_naps = std::chrono::milliseconds(2);

/// Watchers at once: two, so that one may go to work without waking another in its place.
inline constexpr unsigned most_watchers = 2;

/// Watchers go on napping until all loops have been parked and quiet for this long. A program that
/// has a little to do now and then wakes no watcher anew each time.
inline constexpr duration watch_lingers = std::chrono::milliseconds(20);

// ------------------------------------------------------------------- at rest

/// When all loops have slept for this long, and no timer is armed, one of them looks whether
/// anything can happen in the program any more (runtime/at_rest.cpp). It costs one wake-up each
/// time that a program without timers falls asleep.
inline constexpr duration rest_after = std::chrono::seconds(1);

}  // namespace heddle::detail::policy
