// SPDX-License-Identifier: MIT
// Counts the descriptors that a case may leak.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>

namespace conformance {

/// Open sockets, pipes, sets and bells; no directory or file. Whatever else runs in this process
/// (what holds threads back, tests/support/jitter.c) looks into directories at any moment.
inline std::size_t open_ends() {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string what = std::filesystem::read_symlink(entry.path(), gone).string();
    if (!gone && !what.empty() && what[0] != '/') ++n;
  }
  return n;
}

}  // namespace conformance
