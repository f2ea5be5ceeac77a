// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the commands that list.
#pragma once

#include "options.h"

namespace tool {

/// `heddle ps`. Returns the exit status.
int ps(const options& o);

}  // namespace tool
