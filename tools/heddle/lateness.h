// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: how late the timers of a loop are.
#pragma once

#include <heddle/core/seeing/program.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tool {

/// How late the timers of a loop fired, one in 64 of them, since the program began: counts by
/// buckets of an eighth of a power of two (sched/duration_histogram.h).
class lateness {
 public:
  /// As it is now. A program without these counts has none of them.
  static lateness of(const heddle::detail::seeing::program& from,
                     heddle::detail::seeing::address loop);

  /// False: nothing was counted since `earlier`, or ever if that is empty. `to`: 99 % of what was
  /// counted since then was not later than these nanoseconds, to a sixteenth.
  [[nodiscard]] bool p99_since(const lateness& earlier, std::uint64_t& to) const;

 private:
  std::vector<std::uint64_t> counts_;
};

/// By how many nanoseconds the first timer of the loop is overdue at `now`; 0: it is not.
[[nodiscard]] std::uint64_t overdue_in(const heddle::detail::seeing::program& from,
                                       heddle::detail::seeing::address loop, std::uint64_t now);

}  // namespace tool
