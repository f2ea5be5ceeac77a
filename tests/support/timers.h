// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/sched/runtime.h>

#include <cstddef>

namespace support {

/// How many timers wait in all loops of `rt`.
inline std::size_t timers_armed(heddle::runtime& rt) {
  std::size_t n = 0;
  for (const auto& l : rt.stats().loops) n += l.timers;
  return n;
}
/// The same for the caller's runtime.
inline std::size_t timers_armed() { return timers_armed(heddle::current_loop().owner()); }

}  // namespace support
