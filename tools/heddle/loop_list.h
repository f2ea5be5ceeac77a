// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: `heddle loops`.
#pragma once

#include "options.h"

namespace tool {

/// A line for each loop. Returns the exit status.
int loops(const options& o);

}  // namespace tool
