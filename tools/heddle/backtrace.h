// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: `heddle bt`.
#pragma once

#include "options.h"

namespace tool {

/// Prints the frames of one task, by its id or its name; or, with --thread, of the task that a
/// thread runs. Returns the exit status.
int backtrace(const options& o);

}  // namespace tool
