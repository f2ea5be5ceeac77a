// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the command top.
#pragma once

#include "options.h"

namespace tool {

/// Prints what the loops of the processes do, again and again unless `o.once`. Returns the exit
/// status.
int top(const options& o);

}  // namespace tool
