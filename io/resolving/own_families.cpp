// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/own_families.h>

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/resolver.h>

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>

#include <memory>

namespace heddle::detail {

int own_family(int family, const std::string& host) {
  ifaddrs* list = nullptr;
  check(::getifaddrs(&list), "getifaddrs", host);
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  bool four = false, six = false;
  for (const ifaddrs* at = list; at; at = at->ifa_next) {
    if (!at->ifa_addr || (at->ifa_flags & IFF_LOOPBACK) != 0) continue;
    four = four || at->ifa_addr->sa_family == AF_INET;
    six = six || at->ifa_addr->sa_family == AF_INET6;
  }
  if (four == six) return family;
  const int own = four ? AF_INET : AF_INET6;
  if (family != 0 && family != own) throw_name_error(name_error::no_data, host);
  return own;
}

}  // namespace heddle::detail
