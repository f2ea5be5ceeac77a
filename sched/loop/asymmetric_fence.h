// SPDX-License-Identifier: MIT
// Internal to sched.
// A fence that is free for the frequent side and expensive for the rare side.
//
// Problem   Two threads each store to one variable and then load the other's. At least one must see
//           the other's store. Ordinarily both need a full fence between store and load. The owner
//           of a deque does this many million times a second, a thief once in a while.
// Chosen    The frequent side only keeps its compiler from reordering (light_fence). The rare side
//           has the kernel interrupt all processors on which the process runs (heavy_fence). Each
//           of them thereby passes a full fence. That is membarrier(2), since Linux 4.14.
// Cost      Frequent side: no instruction. Rare side: a system call of some microseconds.
// Promised  Light fence and heavy fence together order like two full fences. Two light fences order
//           nothing between them.
#pragma once

#include <heddle/core/base/config.h>

namespace heddle::detail {

/// Stores before it are seen before loads after it, by threads that pass heavy_fence().
/// ThreadSanitizer does not know this fence. So all variables that depend on it are atomic.
HEDDLE_INLINE void light_fence() noexcept { asm volatile("" : : : "memory"); }

/// Pairs with the light_fence() of every thread of the process. Costs some microseconds. It does
/// nothing in a simulation, whose threads overtake each other only between operations. False: the
/// kernel refuses it.
bool heavy_fence() noexcept;

/// Asks the kernel whether heavy_fence() will work. To be called before the first heavy_fence() of
/// the process. Further calls cost little.
bool heavy_fence_available() noexcept;

}  // namespace heddle::detail
