// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: `heddle why`.
#pragma once

#include "options.h"

namespace tool {

/// `heddle why [PROCESS] [TASK]`: what keeps a task from going on; without TASK: all deadlocks.
/// Returns the exit status.
int why(const options& o);

}  // namespace tool
