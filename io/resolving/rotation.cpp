// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/rotation.h>

#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace heddle::detail {
namespace {

enum class scope : std::uint8_t { loopback, link, site, global };

scope scope_of(const address& a) {
  if (a.family() == AF_INET) {
    const auto bits = ntohl(reinterpret_cast<const sockaddr_in*>(a.data())->sin_addr.s_addr);
    if (bits >> 24 == 127) return scope::loopback;
    return bits >> 16 == 0xa9fe ? scope::link : scope::global;  // 169.254.0.0/16
  }
  if (a.family() == AF_INET6) {
    const in6_addr& bits = reinterpret_cast<const sockaddr_in6*>(a.data())->sin6_addr;
    if (IN6_IS_ADDR_LOOPBACK(&bits)) return scope::loopback;
    if (IN6_IS_ADDR_LINKLOCAL(&bits)) return scope::link;
    return (bits.s6_addr[0] & 0xfe) == 0xfc ? scope::site : scope::global;  // fc00::/7
  }
  return scope::global;
}

bool are_equals(const address& a, const address& b) {
  return a.family() == b.family() && scope_of(a) == scope_of(b);
}

}  // namespace

void rotate_equals(std::vector<address>& all, std::size_t by) {
  for (auto run = all.begin(); run != all.end();) {
    const auto end =
        std::find_if(run, all.end(), [&](const address& a) { return !are_equals(a, *run); });
    const auto length = static_cast<std::size_t>(std::distance(run, end));
    std::rotate(run, run + static_cast<std::ptrdiff_t>(by % length), end);
    run = end;
  }
}

}  // namespace heddle::detail
