// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the window of a timeline.
#pragma once

#include "timeline.h"

namespace tool {

/// Items are sorted by their beginning, the longer first. What lies outside of the window goes, and
/// what reaches out of it is cut. On each track slices nest: one that would reach out of the slice
/// around it is cut too. A flow stays if both its ends do.
void cut_and_nest(timeline& t);

}  // namespace tool
