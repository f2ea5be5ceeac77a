// SPDX-License-Identifier: MIT
//
// Many tasks that only wait: what one suspended task costs in memory. They sleep, or wait for a
// queue that is empty, a mutex that is held, or each for a future of its own, whose memory counts,
// too.
#pragma once

#include <chrono>

#include "common/program.h"

namespace bench::memory {

inline constexpr long default_size = 1'000'000;
inline constexpr std::string_view size_means = "suspended tasks; default: 1000000";

/// Long enough that none wakes while they are counted.
inline constexpr std::chrono::hours nap{1};

/// Adds the bytes a task to the report, by growth of the resident set since `before_kb`.
inline void note_bytes(report& out, long before_kb, long tasks) {
  const double grown = static_cast<double>(current_rss_kb() - before_kb) * 1024;
  out.note("bytes_per_task", tasks == 0 ? 0 : grown / static_cast<double>(tasks));
}

}  // namespace bench::memory
