// SPDX-License-Identifier: MIT
// Internal to sched.
// A fence whose two sides cost what each can afford. Where one thread stores and then loads many
// million times a second, and another does the same once in a while, each must see the other's
// store or be seen: ordinarily both pay for a fence. Here the first orders its compiler alone, and
// the second has the kernel interrupt all processors on which the process runs, each of which
// thereby passes a full fence (membarrier(2), since Linux 4.14).
#pragma once

#include <heddle/core/base/config.h>

namespace heddle::detail {

/// What stands before it is written and what stands behind it is read in this order, as far as
/// threads can tell that pass heavy_fence(). ThreadSanitizer takes no notice: what depends on it is
/// atomic.
HEDDLE_INLINE void light_fence() noexcept { asm volatile("" : : : "memory"); }

/// Pairs with the light_fence() of every thread of the process. Some microseconds; nothing in a
/// simulation, whose threads overtake each other between operations only. False: it cannot be had.
bool heavy_fence() noexcept;

/// Asks the kernel. Before the first heavy_fence() of the process; again costs nothing.
bool heavy_fence_available() noexcept;

}  // namespace heddle::detail
