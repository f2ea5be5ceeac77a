// SPDX-License-Identifier: MIT
// Internal to sched.
// What a fork leaves of the watch over stalls. Defined in watch.cpp.
#pragma once

namespace heddle::detail {

/// In a forked child, which has no thread of the watch: as if nothing had been watched.
void forget_watch() noexcept;

}  // namespace heddle::detail
