// SPDX-License-Identifier: MIT
// Internal to core.
// Text on its way to a descriptor. Nothing is allocated, and no lock of stdio is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::detail::seeing {

class output {
 public:
  explicit output(int to) noexcept : to_(to) {}
  output(const output&) = delete;
  ~output() { flush(); }

  void put(char c) noexcept;
  void put(std::string_view text) noexcept;
  void number(std::uint64_t value) noexcept;
  /// Text of the program's users: what is no plain letter is escaped (\n, \x1b), and what is longer
  /// than `most` letters is cut, with three dots.
  void escaped(std::string_view text, std::size_t most) noexcept;
  /// As a string of JSON, with its quotes.
  void json(std::string_view text) noexcept;
  /// Blanks up to column `to`, and one at least.
  void column(std::size_t to) noexcept;
  void flush() noexcept;
  /// False: the descriptor has refused what was written.
  [[nodiscard]] bool good() const noexcept { return good_; }

 private:
  int to_;
  bool good_ = true;
  std::size_t used_ = 0;
  std::size_t column_ = 0;
  char buffer_[4096];
};

}  // namespace heddle::detail::seeing
