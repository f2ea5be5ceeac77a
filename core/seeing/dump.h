// SPDX-License-Identifier: MIT
// Internal to core.
// The signal at which the program writes a dump.
#pragma once

namespace heddle::detail::seeing {

/// If the environment variable HEDDLE_DUMP names a signal ("QUIT"), that signal makes this process
/// write a dump on stderr, and go on. Called when a runtime begins; does its work once.
void arrange_dumps() noexcept;

}  // namespace heddle::detail::seeing
