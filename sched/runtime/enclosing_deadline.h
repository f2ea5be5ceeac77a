// SPDX-License-Identifier: MIT
// Internal to sched.
// When the caller will be cancelled by a block around it, for io: a call that goes to another
// machine takes that time with it. Not a public header.
#pragma once

#include <heddle/core/clock.h>

#include <optional>

namespace heddle::detail {

/// The earliest deadline of the blocks (timeout, wait_for) of the calling task or strand. nullopt:
/// there is none, or the caller is no task. A block of the task that awaits this one is not seen.
[[nodiscard]] std::optional<time_point> enclosing_deadline() noexcept;

}  // namespace heddle::detail
