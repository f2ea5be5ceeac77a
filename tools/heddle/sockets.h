// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: what a descriptor of another process is.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace tool {

/// "TCP 127.0.0.1:80 - 10.0.0.7:4711, established, 12 bytes to read, 0 to send", "a Unix socket
/// /run/chatd, established", "a pipe", a path; empty: there is no such descriptor, or it may not be
/// looked at.
[[nodiscard]] std::string describe_descriptor(pid_t process, std::uint64_t number);

}  // namespace tool
