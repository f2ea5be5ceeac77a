// SPDX-License-Identifier: MIT
// Internal to core.
// Which task holds a lock, in the word of the lock.
//
// Problem   `heddle why` is to tell the task that holds a mutex, in every program, and a lock and
//           its unlock are some 50 instructions.
// Rejected  The record alone: a record is used again, most often by the very next task. A mutex
//           that its task left locked would then be held by a task that never touched it. A second
//           word in the lock: one more store for each lock.
// Chosen    The record's address and the low half of its generation, in the word that the lock
//           exchanges anyhow. A record is aligned to 32, and addresses have 48 bits.
//   bits 0-4    the lock's own
//   bits 5-47   the record of the task, or of the strand if that has one; 0: no task, so a callback
//               or another thread took the lock
//   bits 48-63  the low half of the record's generation
#pragma once

#include <heddle/core/record/task_record.h>

#include <cstdint>

namespace heddle::detail {

// The word is little-endian, and its generation begins at bit 32. Two bytes are read, since masking
// all eight costs two instructions more in each lock. The generation is constant while `t` lives.
static_assert(sizeof(task_word) == 8 && word::generation_shift == 32);

/// The bits of `t`, which may be null. Called by the task itself, or by the thread that hands the
/// lock to it.
[[nodiscard]] inline std::uint64_t owner_bits(const task_record* t) noexcept {
  if (!t) return 0;
  using two_bytes [[gnu::may_alias]] = std::uint16_t;
  const auto* low_half = reinterpret_cast<const two_bytes*>(&t->state()) + 2;
  const std::uint64_t generation = __atomic_load_n(low_half, __ATOMIC_RELAXED);
  return reinterpret_cast<std::uintptr_t>(t) | generation << 48;
}

/// `t` is about to wait for a lock (`what`: "mutex") that it holds itself, so it would wait for
/// ever. Called by `t`, with no lock held. Defined by sched, which reports it in debug mode.
void warn_of_own_lock(task_record& t, const char* what) noexcept;

}  // namespace heddle::detail
