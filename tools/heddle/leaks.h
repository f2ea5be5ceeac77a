// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: `heddle leaks`.
#pragma once

#include "options.h"

namespace tool {

/// Prints tasks that nobody can wake, and tasks that have ended and are kept. `good`: there are
/// some; `nothing`: there are none.
int leaks(const options& o);

}  // namespace tool
