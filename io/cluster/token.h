// SPDX-License-Identifier: MIT
// Internal to io.
// Names that nobody else has, and what stands in subjects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace heddle::cluster::detail {

[[nodiscard]] std::uint64_t random_number();
/// 12 characters of 0-9, a-z.
[[nodiscard]] std::string random_token();
/// An id has at most so many bytes: "k." and the base32 of a key of 128 bytes.
inline constexpr std::size_t most_id = 2 + (128 * 8 + 4) / 5;
/// True: it is OWNER.NUMBER or k.KEY, and may stand in a subject. Whatever else a user or another
/// program gives for an id could be two tokens, a wildcard, or a line of the protocol.
[[nodiscard]] bool is_id(std::string_view id) noexcept;
/// Base32 without padding, with these 32 digits.
[[nodiscard]] std::string to_base32(std::string_view bytes, std::string_view digits);
/// Lower-case base32 without padding: a key as a part of a subject.
[[nodiscard]] std::string key_token(std::string_view key);
/// What to_cluster hashes names with; the same on every machine.
[[nodiscard]] std::uint64_t hash_of(std::string_view bytes,
                                    std::uint64_t seed = 0xcbf29ce484222325U) noexcept;

}  // namespace heddle::cluster::detail
