// SPDX-License-Identifier: MIT
// Internal to sched.
// A time that costs no look at the clock.
#pragma once

#include <heddle/core/base/config.h>
#include <heddle/core/base/time_types.h>

namespace heddle::detail {

/// When the loop of the calling thread polled last: so old as its turn is long, usually well under
/// a millisecond. In a thread that is no loop: the clock's time, for the clock's price.
/// Never inlined, since no address of a thread-local may survive a suspension.
/// Cost      a call and two loads
[[nodiscard]] HEDDLE_NOINLINE time_point loop_time() noexcept;

}  // namespace heddle::detail
