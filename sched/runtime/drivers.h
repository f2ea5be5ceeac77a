// SPDX-License-Identifier: MIT
// Internal to sched.
// The drivers of the loops, for io. Not a public header.
#pragma once

#include <heddle/core/base/config.h>
#include <heddle/sched/loop/driver.h>

namespace heddle::detail {

/// The driver of the loop that this thread is. Throws no_running_loop elsewhere, usage_error in a
/// simulation. Never inlined: no thread-local survives a suspension.
HEDDLE_NOINLINE driver& current_driver();
/// The driver of loop `index` of the runtime of the calling loop. Throws as current_driver().
HEDDLE_NOINLINE driver& driver_of(unsigned index);
/// The index of the calling loop. Throws no_running_loop on a foreign thread.
HEDDLE_NOINLINE unsigned current_loop_index();

}  // namespace heddle::detail
