// SPDX-License-Identifier: MIT
// Internal to io.
// What the inspector answers. Each looks at this process, and takes its time: not for a loop.
#pragma once

#include <cstddef>
#include <string>

namespace heddle::http::detail {

/// Of at most so many tasks. Throw std::bad_alloc, and std::runtime_error if this process cannot be
/// read.

/// As `heddle ps --json` prints it. What was left out is told at the end.
[[nodiscard]] std::string tasks_json(std::size_t most);
/// The tasks, who waits for whom, and the circles in that.
[[nodiscard]] std::string graph_json(std::size_t most);
/// Each task under the first that waits for it, as lines of text.
[[nodiscard]] std::string tree_text(std::size_t most);
/// The same as a list with depths.
[[nodiscard]] std::string tree_json(std::size_t most);
/// Steps that held their loop for longer than the stall limit, the largest sum first.
[[nodiscard]] std::string stalls_json();

}  // namespace heddle::http::detail
