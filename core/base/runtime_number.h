// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Names of runtimes, for what may outlive them.
//
// Problem   What outlives its runtime (a future, a callback, a task's record) must find nothing
//           when it asks for that runtime. It must never find another one that was given the same
//           number. A record has 16 bits for the number, and a process may make more runtimes.
// Rejected  32 bits in each record: there is no room for them, and 8 bytes more would cost every
//           task. Counting what refers to a runtime: a locked operation for each future.
// Chosen    A runtime has a long number, which is never given twice. Its low half word, the short
//           number, differs from those of all living runtimes. What has room keeps the long number.
//           A record keeps the short one. A runtime that ends looks for the records that outlive it
//           and marks them: `ended_runtime`.
// Promised  A look-up finds the runtime that was meant, or none. For records, equal short numbers
//           mean the same runtime. For a future of a runtime that ended, which is merely awaited,
//           they may be equal by coincidence, and then only an error message is missed.
#pragma once

#include <cstdint>

namespace heddle::detail {

/// 0: none. Short number in the low 16 bits, above it how often that was given before.
using runtime_number = std::uint64_t;

/// Stands in a record in place of the short number when the record's runtime has ended.
inline constexpr std::uint16_t ended_runtime = 0xffff;

constexpr std::uint16_t short_number(runtime_number n) noexcept {
  return static_cast<std::uint16_t>(n);
}

}  // namespace heddle::detail
