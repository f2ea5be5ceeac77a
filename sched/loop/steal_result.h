// SPDX-License-Identifier: MIT
// Internal to sched.
#pragma once

#include <cstdint>

namespace heddle::detail {

enum class steal_result { got, empty, lost };

}  // namespace heddle::detail
