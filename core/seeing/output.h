// SPDX-License-Identifier: MIT
// Internal to core.
// Text on its way to a descriptor, or to a function. Nothing is allocated, and no lock of stdio is
// taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::detail::seeing {

class output {
 public:
  /// Takes the text in pieces. False: no more is wanted.
  using taker = bool (*)(void* context, std::string_view text) noexcept;

  explicit output(int to) noexcept : to_(to) {}
  output(taker to, void* context) noexcept : to_(-1), taker_(to), context_(context) {}
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
  /// False: the descriptor, or the function, has refused what was written.
  [[nodiscard]] bool good() const noexcept { return good_; }

 private:
  int to_;
  taker taker_ = nullptr;
  void* context_ = nullptr;
  bool good_ = true;
  std::size_t used_ = 0;
  std::size_t column_ = 0;
  char buffer_[4096];
};

}  // namespace heddle::detail::seeing
