// SPDX-License-Identifier: MIT
// Internal to io.
// The families of which this machine has an address, for a resolver that does not ask getaddrinfo.
#pragma once

#include <string>

namespace heddle::detail {

/// `family` (0: both) without those of which this machine has no address but loopback ones. If it
/// has none of either, `family` as it is. Some system calls, which do not block. Throws
/// std::system_error: no_data for `host`, if nothing is left.
[[nodiscard]] int own_family(int family, const std::string& host);

}  // namespace heddle::detail
