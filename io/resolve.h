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

/// The addresses of `host`, best first, each once. A numeric host is answered at once; a name is
/// looked up by getaddrinfo on a thread.
/// Throws    std::system_error of resolve_category() (heddle/io/resolve_category.h) with the name. Cancel    the wait ends at
///           once, the look-up is left to itself.
[[nodiscard]] task<std::vector<address>> resolve(std::string host, port_number port,
                                                 resolve_options options = {});

}  // namespace heddle
