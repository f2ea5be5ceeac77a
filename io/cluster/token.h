// SPDX-License-Identifier: MIT
// Internal to io.
// Names that nobody else has, and what stands in subjects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace heddle::cluster::detail {

[[nodiscard]] std::uint64_t random_number();
/// 12 characters of 0-9, a-z.
[[nodiscard]] std::string random_token();
/// Base32 without padding, with these 32 digits.
[[nodiscard]] std::string to_base32(std::string_view bytes, std::string_view digits);
/// Lower-case base32 without padding: a key as a part of a subject.
[[nodiscard]] std::string key_token(std::string_view key);
/// What to_cluster hashes names with; the same on every machine.
[[nodiscard]] std::uint64_t hash_of(std::string_view bytes,
                                    std::uint64_t seed = 0xcbf29ce484222325U) noexcept;

}  // namespace heddle::cluster::detail
