// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: `heddle trace`.
#pragma once

#include "options.h"

namespace tool {

/// Writes what a program has recorded of its last seconds, or records everything for a while.
/// Returns the exit status.
int trace(const options& o);

}  // namespace tool
