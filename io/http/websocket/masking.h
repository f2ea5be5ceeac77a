// SPDX-License-Identifier: MIT
// Internal to io.
// The masks of a client's frames (RFC 6455, 5.3).
#pragma once

#include <array>
#include <cstddef>

namespace heddle::http::detail {

using mask_key = std::array<unsigned char, 4>;

/// A key that nobody can foresee: from OpenSSL's generator for secrets. A script that could foresee
/// keys could choose what stands on the wire, and deceive a proxy.
/// Cost      a copy of four bytes; each 256th call of a thread fetches a kilobyte
/// Throws    std::runtime_error, if the system has no random numbers
[[nodiscard]] mask_key fresh_mask();

/// Masks or unmasks `n` bytes in place. The first of them is the byte number `at` of its frame.
/// Cost      eight bytes at a time
void apply_mask(char* bytes, std::size_t n, const mask_key& key, std::size_t at) noexcept;

}  // namespace heddle::http::detail
