// SPDX-License-Identifier: MIT
// Internal to sched.
// The end of a runtime. Not a public header.
//
// Its phases, in this order:
//   stopping     foreign threads are refused, and those that were not are waited for
//   tasks        all are cancelled and awaited, in rounds, until none is left
//   generators   those at a yield are closed; then the tasks that this has made are cancelled and
//                awaited
//   threads      the jobs of to_thread are awaited, and the services of rooms above end
//   seals        each loop seals itself; then the tasks that slipped in before are cancelled and
//                awaited
//   loops        they run what is queued, and end
//   registry     nobody finds the runtime any more, and the last guests have left
//   leftovers    callbacks that still wait for their time are dropped
#pragma once

#include <heddle/sched/runtime/runtime_state.h>

namespace heddle::detail {

/// The shutdown itself, once. Whoever comes meanwhile waits for its end. From a foreign thread.
///
/// The loops and what they share stay in memory until the runtime is destroyed: a `loop&` that is
/// used late throws, and is no dangling reference.
void end_runtime(runtime_state& s) noexcept;

/// The same, by a user. Throws usage_error while some thread is in run or run_forever, and where
/// the end would wait for the caller itself.
void close_runtime(runtime_state& s);

/// What the calling thread is in that the end of the runtime waits for; nullptr: nothing.
[[nodiscard]] const char* waits_for_caller(runtime_state& s) noexcept;

}  // namespace heddle::detail
