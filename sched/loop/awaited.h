// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// How it stands with a task that is awaited.
#pragma once

namespace heddle::detail {

/// How it stands with a task that is awaited, after worker::run_awaited.
enum class [[nodiscard]] awaited_now {
  elsewhere,      // it has not ended: wait for it
  ended,          // it has: go on
  ended_in_turn,  // it has, but others come first: stand back
};

}  // namespace heddle::detail
