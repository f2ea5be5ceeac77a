// SPDX-License-Identifier: MIT
// What a board counts. Handlers on all loops count at once.
#pragma once

#include <atomic>
#include <cstdint>

namespace board {

struct counters {
  std::atomic<std::uint64_t> said{0};      // messages, since the program began
  std::atomic<std::uint64_t> uploaded{0};  // files
};

}  // namespace board
