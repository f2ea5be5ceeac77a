// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the command stalls.
#pragma once

#include "options.h"

namespace tool {

/// Prints the stalls of the processes that were asked for. Returns the exit status.
int stalls(const options& o);

}  // namespace tool
