// SPDX-License-Identifier: MIT
// Internal to core.
// Places in sources: what the compiler laid down for each co_await and each call that makes a task
// (std::source_location). They need no debug information and no symbols, so a stripped program has
// them too.
#pragma once

#include <heddle/core/seeing/memory.h>
#include <heddle/core/seeing/short_writer.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

struct place_view {
  address at = 0;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  char file[256] = "";      // as the compiler was given it
  char function[160] = "";  // "chat::copy_line": without its type, parameters and arguments

  /// The file without its folder.
  [[nodiscard]] const char* short_file() const noexcept;
};

/// The places of a program, read and kept. Nothing is allocated.
class places {
 public:
  places() noexcept = default;
  places(const places&) = delete;

  /// From here on it reads `from`, which outlives this.
  void over(memory& from) noexcept { from_ = &from; }
  /// The place that stands at `at`; nullptr: none does. What it points to stands until the next
  /// call.
  [[nodiscard]] const place_view* find(address at) noexcept;

 private:
  [[nodiscard]] bool read(address at, place_view& to) noexcept;

  static constexpr std::size_t slots = 256;
  memory* from_ = nullptr;
  place_view slots_[slots];
};

/// The name in what a compiler calls a function: "task<> chat::copy_line(int) [T = int]" is
/// "chat::copy_line". g++ names a coroutine by the function that runs its steps, whose parameter is
/// the frame: that goes with the parameters.
void put_plain_function(short_writer& to, const char* pretty) noexcept;

}  // namespace heddle::detail::seeing
