// SPDX-License-Identifier: MIT
// The order of the bytes of a number on its way: stream_reader::read_uint, stream_writer::
// write_uint, and the lengths of frames.
//
//   const auto length = co_await reader.read_uint<std::uint32_t>(h::byte_order::little);
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle {

/// The order of the bytes of a number: the most significant one first (`big`), or last.
enum class byte_order : std::uint8_t { big, little };

namespace detail {

/// The types that read_uint<T> and write_uint take: unsigned, and no bool and no character.
template <class T>
concept wire_uint = std::same_as<T, unsigned char> || std::same_as<T, unsigned short> ||
                    std::same_as<T, unsigned int> || std::same_as<T, unsigned long> ||
                    std::same_as<T, unsigned long long>;

/// How far the byte at `i` of a number of `n` bytes is shifted.
constexpr unsigned byte_shift(std::size_t i, std::size_t n, byte_order order) noexcept {
  return static_cast<unsigned>(8 * (order == byte_order::big ? n - 1 - i : i));
}

/// The number that stands in 1 to 8 bytes.
constexpr std::uint64_t load_uint(std::string_view bytes, byte_order order) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint64_t byte = static_cast<unsigned char>(bytes[i]);
    value |= byte << byte_shift(i, bytes.size(), order);
  }
  return value;
}

/// Writes the low `n` bytes of a number, 1 to 8, to `to`.
constexpr void store_uint(char* to, std::size_t n, std::uint64_t value, byte_order order) noexcept {
  for (std::size_t i = 0; i < n; ++i)
    to[i] = static_cast<char>(static_cast<unsigned char>(value >> byte_shift(i, n, order) & 0xff));
}

/// As store_uint(). Throws bad_value for a width that is not from 1 to 8, and for a number that
/// does not fit.
void store_checked_uint(char* to, std::size_t n, std::uint64_t value, byte_order order);

}  // namespace detail
}  // namespace heddle
