// SPDX-License-Identifier: MIT
//
// Counts of what costs, kept by each thread for itself. In the builds of the library over
// counting atomics (counting_atomic.h) and over charging ones (charging_atomic.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bench::model {

enum class counted : unsigned {
  read_modify_write,  // exchange, fetch_*
  exchanged,          // compare-exchanges that succeeded
  failed,             // and that did not
  fenced,             // seq_cst stores: a locked operation too
  locked,             // spin locks taken
  sent,               // pushes to a loop's inbox, its queue for others, or the injection queue
  woke,               // wake-ups: system calls
  stole,              // looks at a victim that got something
  found_nothing,      // and that got nothing
  spun,               // pauses of searchers
};
inline constexpr std::size_t kinds = 10;

using counts = std::array<std::uint64_t, kinds>;

/// Of all threads that ever counted. While others count it is near, not exact.
counts all_counts() noexcept;

/// The same, by name, for JSON.
extern const std::array<const char*, kinds> names_of_counts;

/// Never inlined: a coroutine may resume on another thread, and must not keep its counters'
/// address.
[[gnu::noinline]] void count(counted what) noexcept;

}  // namespace bench::model
