// SPDX-License-Identifier: MIT
// Internal to io.
// The reply of a name server to one question.
#pragma once

#include <heddle/io/address.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace heddle::detail {

/// What is known of the addresses of one family.
struct family_reply {
  int status = 0;  // of c-ares
  std::vector<address> addresses;
  std::string canonical;
  /// Seconds. For addresses the least time of any record, for an error that of the zone's SOA
  /// record; std::nullopt if there is none.
  std::optional<std::uint32_t> holds;
};

/// Reads a reply that ended with `status`. `message` is empty if no server has given one.
[[nodiscard]] family_reply read_reply(int status, int family,
                                      std::span<const unsigned char> message);

/// For so many seconds a message that there is no such name, or no such data, holds (RFC 2308): the
/// lesser of the SOA record's own time and its MINIMUM field. std::nullopt: there is no such
/// record, or the message is malformed.
[[nodiscard]] std::optional<std::uint32_t> negative_time(std::span<const unsigned char> message);

}  // namespace heddle::detail
