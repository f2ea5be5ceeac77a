// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// How a simulation gives up.
#pragma once

#include <stdexcept>

namespace heddle::testing {

/// Nothing can ever happen again: no task is ready, no timer armed, no thread runs. The message
/// lists who waits for what.
struct stuck_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// It took more steps than simulation_limits.steps, which a program that only yields to itself
/// does.
struct livelock_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace heddle::testing
