// SPDX-License-Identifier: MIT
// stalls: which steps have kept a loop for too long (options.stall_limit), for a test or a log.
//
//   h::forget_stalls();
//   serve_a_while();
//   EXPECT_TRUE(h::stalls().empty());
#pragma once

#include <heddle/core/base/time_types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heddle {

/// Stalls of one kind: the same functions, or the same system call. The order of the fields is API.
struct stall {
  std::string where;        // "in poll: ", "parse_line < parse < import <~ main"
  std::string task;         // the name of the latest task; empty: it has none, or was no task
  std::uint64_t count = 0;  // stalls of this kind
  duration longest{};
  duration total{};    // of those that are over
  bool lasts = false;  // the latest one goes on
};

/// The stalls of this process, the largest total first: what `heddle stalls` shows. At most 64
/// kinds are kept. Cost: some milliseconds, for the names of functions.
/// Thread-safety: any thread. Throws std::bad_alloc.
[[nodiscard]] std::vector<stall> stalls();
/// Forgets them, except those that go on. Thread-safety: any thread.
void forget_stalls() noexcept;

}  // namespace heddle
