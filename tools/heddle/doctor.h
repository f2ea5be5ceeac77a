// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: `heddle doctor`.
#pragma once

#include "options.h"

namespace tool {

/// Looks for what is wrong with a program, twice, a second apart. Returns the exit status: 0 if
/// nothing was found, 1 if something was.
int doctor(const options& o);

}  // namespace tool
