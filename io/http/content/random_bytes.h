// SPDX-License-Identifier: MIT
// Internal to io.
#pragma once

#include <cstddef>
#include <string>

namespace heddle::http::detail {

/// `n` bytes that nobody can guess, from OpenSSL's source.
/// Throws  std::runtime_error if it has none
[[nodiscard]] std::string random_bytes(std::size_t n);

/// Two digits for each byte, lower case.
[[nodiscard]] std::string hex(const std::string& bytes);

}  // namespace heddle::http::detail
