// SPDX-License-Identifier: MIT
//
// Datagrams there and back: 64 pairs of sockets on loopback, each with 64 bytes under way, all on
// one thread. So a round trip is four system calls and what the library adds.
#pragma once

#include <netinet/in.h>

#include <array>
#include <string_view>

#include "common/program.h"

namespace bench::udp {

inline constexpr long default_size = 200'000;
inline constexpr std::string_view size_means = "round trips; default: 200000";
inline constexpr int pairs = 64;
inline constexpr std::size_t bytes = 64;

/// Round trips of one pair. The sum over all pairs is at least the size.
inline long each_of(long size) { return (size + pairs - 1) / pairs; }

inline sockaddr_in any_port_of_loopback() {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

}  // namespace bench::udp
