// SPDX-License-Identifier: MIT
// Nothing watches the loops of this test program for stalls, unless a test asks for it. On a busy
// machine the watch opens a file of /proc now and then, in the midst of what a test counts or lets
// fail: descriptors, calls, memory.
#include <cstdlib>

namespace {
[[maybe_unused]] const int unwatched = ::setenv("HEDDLE_STALL_LIMIT", "0", 0);
}  // namespace
