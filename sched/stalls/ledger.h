// SPDX-License-Identifier: MIT
// Internal to sched.
// The stalls of this process, in memory that readers find from outside (core/seeing/stall_table.h).
//
// Only the watch writes, or another thread under the watch's lock.
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/seeing/stall_table.h>

#include <cstddef>

namespace heddle::detail {

[[nodiscard]] const seeing::stall_table& stall_ledger() noexcept;

/// A stall has begun. `draft`: all of it but the sums. Returns the place of its entry, which is the
/// one of the same key if there is one that does not go on. If all are taken, the one with the
/// smallest sum goes.
[[nodiscard]] std::size_t note_stall(const seeing::stall_entry& draft) noexcept;
/// The stall of `loop` in entry `place` has lasted so long; `over`: and has ended.
void stall_lasts(std::size_t place, std::uint64_t loop, duration so_far, bool over) noexcept;
/// The whole process stood still for so long.
void note_standstill(duration length) noexcept;
/// What readers are told as the limit; zero: nothing is watched.
void note_stall_limit(duration limit) noexcept;
/// Except those that go on.
void forget_all_stalls() noexcept;
/// In a forked child: also those that go on, and whatever the watch was writing.
void forget_ledger() noexcept;

}  // namespace heddle::detail
