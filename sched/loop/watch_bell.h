// SPDX-License-Identifier: MIT
// Internal to sched.
// How a loop that wakes up tells the watch over stalls (sched/stalls/), which sleeps while all
// loops are parked.
//
// Protocol WATCH-BELL
//   Danger    The watch finds all loops parked, and goes to sleep. At the same moment a loop wakes
//             up and begins a step that never ends. Nobody would notice.
//   Remedy    The loop first says that it is awake, then looks at the bell. The watch first says in
//             the bell that it sleeps, then looks at all loops once more. All four are seq_cst, so
//             one of the two comes first:
//               the loop    the watch finds it awake, and does not sleep
//               the watch   the loop finds the watch asleep, and wakes it
//   Cost      A load and a branch each time that a loop wakes up, and nothing for a step. The
//             system call comes only after a quiet time.
#pragma once

#include <heddle/core/base/atomic.h>

#include <cstdint>

namespace heddle::detail {

enum class watch_state : std::uint32_t { awake, asleep, ends };

/// What the watch does just now. The watch changes awake and asleep; the thread that ends it says
/// so. The watch waits in this word (a futex).
extern constinit plain_atomic<watch_state> watch_bell;

/// The watch stops sleeping. From any thread.
void wake_watch() noexcept;

/// After a loop has said that it is awake.
inline void ring_watch_bell() noexcept {
  // pairs with the store in stall_watch::sleep()
  if (watch_bell.load(seq_cst) == watch_state::asleep) [[unlikely]]
    wake_watch();
}

/// The calling thread is one that the watch may ask for its stack, by a signal. So it touches now
/// what the signal's handler will read: a thread-local that is touched for the first time may
/// allocate, which no handler may do.
void prepare_to_be_watched() noexcept;

/// Where the stack of the calling thread stood then: what stands above is the same in all steps.
extern constinit thread_local std::uintptr_t watched_from [[gnu::visibility("hidden")]];

}  // namespace heddle::detail
