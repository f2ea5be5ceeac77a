// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: `heddle pstree`.
#pragma once

#include "options.h"

namespace tool {

/// Prints each task under the one that awaits it. Returns the exit status.
int pstree(const options& o);

}  // namespace tool
