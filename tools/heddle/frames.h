// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the memory of frames.
#pragma once

#include "options.h"

namespace tool {

/// `heddle top --memory`: how many frames of each function there are, and their bytes. Returns the
/// exit status.
int frames(const options& o);

}  // namespace tool
