// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace heddle::detail {

enum class steal_result { got, empty, lost };

}  // namespace heddle::detail
