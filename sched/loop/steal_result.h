// SPDX-License-Identifier: MIT
// Internal to sched.
// How an attempt to steal ends.
#pragma once

#include <cstdint>

namespace heddle::detail {

enum class steal_result {
  got,    // the thief has the item
  empty,  // there was nothing
  lost,   // another thread was faster, so trying again may help
};

}  // namespace heddle::detail
