// SPDX-License-Identifier: MIT
// Internal to io.
// The header of the PROXY protocol, versions 1 and 2: a proxy tells whom it speaks for.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/server_options.h>
#include <heddle/io/streams/stream_core.h>

#include <cstddef>
#include <string_view>

namespace heddle::detail {

/// A header of version 1, with its CRLF.
inline constexpr std::size_t longest_proxy_line = 107;
/// A header of version 2 tells its length in two bytes.
inline constexpr std::size_t longest_proxy_header = 16 + 65535;

struct proxy_header {
  enum class verdict {
    more,  // it is good so far, and not complete
    good,
    bad,
  };
  verdict is = verdict::more;
  const char* why = "";  // it is bad
  std::size_t size = 0;  // of a good one, in bytes
  address source;        // empty: the header has none
  address destination;

  /// Judges the bytes that have come. Bad as soon as no further byte can make it good. `most`: a
  /// longer header is bad.
  [[nodiscard]] static proxy_header parse(std::string_view bytes, std::size_t most);
};

/// Reads the header that stands in front of everything else, and gives the stream the addresses
/// that it says. What follows it stays in the reader. Nobody else has the stream yet.
/// Throws    std::system_error: EPROTO for a bad header, or none; ETIMEDOUT when the limit passes;
///           ECONNABORTED if the stream was closed here, or by the peer before its first byte; what
///           broke the connection
/// Cancel    consumes nothing, or the whole header
[[nodiscard]] task<> take_proxy_header(stream_core& core, const server_options& options);

}  // namespace heddle::detail
