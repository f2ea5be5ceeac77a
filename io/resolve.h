// SPDX-License-Identifier: MIT
// Names to addresses.
#pragma once

#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heddle {

struct resolve_options {
  /// AF_INET or AF_INET6; 0 (AF_UNSPEC): both.
  int family = 0;
  /// To listen at: "" then means every address of this machine; else it means the loopback
  /// addresses.
  bool passive = false;
};

/// The addresses of `host`, best first, each once. A numeric host is answered at once. A name is
/// looked up by getaddrinfo on threads of the runtime's own for that (32 at most), so that dead
/// name servers delay no to_thread job, and these no look-up. Equal look-ups at one time are one.
/// Throws    std::system_error of resolve_category() (heddle/io/resolving/resolve_category.h) with
///           the name; of the system when that is what failed (no descriptor, no thread).
/// Cancel    the wait ends at once. A look-up that nobody waits for any more never begins, or is
///           left to itself; so it is when the runtime ends.
[[nodiscard]] task<std::vector<address>> resolve(std::string host, port_number port,
                                                 resolve_options options = {});

}  // namespace heddle
