// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: `heddle gdb`.
#pragma once

#include "options.h"

namespace tool {

/// Becomes gdb, on a process or a core, with the commands of gdb/heddle.py. Returns only if that
/// failed: then the exit status.
int gdb(const options& o);

}  // namespace tool
