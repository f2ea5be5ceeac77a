// SPDX-License-Identifier: MIT
// Internal to core.
// Text in a place of fixed size: what does not fit is left out, and the text still ends with a 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::detail::seeing {

class short_writer {
 public:
  template <std::size_t N>
  explicit short_writer(char (&to)[N]) noexcept : to_(to), room_(N) {
    to_[0] = 0;
  }
  short_writer(char* to, std::size_t room) noexcept : to_(to), room_(room) { to_[0] = 0; }

  void put(char c) noexcept;
  void put(std::string_view text) noexcept;
  void number(std::uint64_t value) noexcept;
  void hexadecimal(std::uint64_t value) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return used_; }
  [[nodiscard]] std::string_view text() const noexcept { return {to_, used_}; }

 private:
  char* to_;
  std::size_t room_;
  std::size_t used_ = 0;
};

/// A length of time for people: "0.3 s", "12 s", "3 min", "3 h 12 min", "24 d".
void put_time(short_writer& to, std::uint64_t nanoseconds) noexcept;
/// The same for the age of a wait, of which no more is told than is kept: "0.3 s", ">24 d".
void put_age(short_writer& to, std::uint64_t nanoseconds) noexcept;

}  // namespace heddle::detail::seeing
