// SPDX-License-Identifier: MIT
// Names to addresses. A task that waits for a name holds no loop.
//
//   h::resolve_options how;
//   how.family = AF_INET;
//   const std::vector<h::address> found = co_await h::resolve("localhost", 80, how);
#pragma once

#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heddle {

struct resolve_options {
  /// The family of the addresses: AF_INET or AF_INET6; 0 (AF_UNSPEC): both.
  int family = 0;
  /// True: for addresses to listen at. The host "" then means every address of this machine; else
  /// it means the loopback addresses.
  bool passive = false;
};

/// Yields the addresses of `host`, best first, each once. A numeric host is answered at once. A
/// name is looked up by getaddrinfo, on threads that the runtime has for that (32 at most). So dead
/// name servers delay no job of to_thread, and such jobs delay no look-up. Equal look-ups at one
/// time are one.
/// Cost      a numeric host: no system call. A name: one job on a thread
/// Throws    std::system_error with the name, of resolve_category()
///           (heddle/io/resolving/resolve_category.h); or of the system, for want of a descriptor
///           or a thread. bad_value for a NUL byte in the name
/// Cancel    The wait ends at once. A look-up that no task waits for any more never begins, or its
///           answer is dropped. The end of a runtime does not wait for look-ups.
/// Thread-safety  any task, on any loop
[[nodiscard]] task<std::vector<address>> resolve(std::string host, port_number port,
                                                 resolve_options options = {});

}  // namespace heddle
