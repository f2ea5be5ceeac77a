// SPDX-License-Identifier: MIT
// How many times bytes went onto the wire: what tells one send from several.
#pragma once

#include <heddle/io/stream.h>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>

namespace conformance {

/// The segments with bytes that a TCP connection has sent, but for those that it sent again. With
/// TCP_NODELAY each send makes one at least. Nothing for other streams.
inline std::optional<std::uint32_t> segments_of(const heddle::stream_writer& w) {
  tcp_info now{};
  socklen_t size = sizeof now;
  if (::getsockopt(w.native_handle(), IPPROTO_TCP, TCP_INFO, &now, &size) != 0) return {};
  return now.tcpi_data_segs_out - now.tcpi_total_retrans;
}

}  // namespace conformance
