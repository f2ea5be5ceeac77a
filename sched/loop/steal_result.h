// SPDX-License-Identifier: MIT
// Internal to sched.
// How an attempt to steal ends.
#pragma once

#include <cstdint>

namespace heddle::detail {

/// got: the thief has it   empty: there was nothing   lost: another thread was faster, so trying
/// again may help
enum class steal_result { got, empty, lost };

}  // namespace heddle::detail
