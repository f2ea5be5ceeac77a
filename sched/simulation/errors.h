// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// How a simulation gives up.
#pragma once

#include <stdexcept>

namespace heddle::testing {

/// Nothing can ever happen again: no task is ready, no timer is armed, no thread runs. The message
/// lists what each task waits for.
struct stuck_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The program took more than simulation_limits.steps, as one does that only yields to itself.
struct livelock_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace heddle::testing
