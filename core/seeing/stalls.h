// SPDX-License-Identifier: MIT
// Internal to core.
// The stalls of a program, read from outside or by itself, and as text.
#pragma once

#include <heddle/core/seeing/program.h>
#include <heddle/core/seeing/stall_table.h>
#include <heddle/core/seeing/symbols.h>

namespace heddle::detail::seeing {

/// A copy of a program's table. Some 50 KiB: for the heap.
class stalls_view {
 public:
  /// False: the program has no such table, or one of another shape, or it could not be read.
  [[nodiscard]] bool load(const program& of) noexcept;

  [[nodiscard]] const stall_table& table() const noexcept { return table_; }
  /// The stall that keeps the loop at `loop` just now, or nullptr.
  [[nodiscard]] const stall_entry* lasting(address loop) const noexcept;

 private:
  stall_table table_;
  bool is_known_ = false;
};

/// Which task it is, for people: "task #80.2 import", "task #80.2, made at log.cpp:120",
/// "the loop itself, which serves timers and I/O of the hogged loop 1", "a callback, or the loop
/// itself".
void put_stalled(short_writer& to, const stall_entry& s) noexcept;
/// Where it is: "in poll: ", then the functions of the thread, then those that await the task:
/// "parse_line < parse < import <~ main". `all`: with the functions of the library.
void put_stack(short_writer& to, const stall_entry& s, symbols& names, bool all) noexcept;
/// "212 ms", "1.9 s", "12 s".
void put_length(short_writer& to, std::uint64_t nanoseconds) noexcept;

/// The name of a system call; nullptr: it is none of those that block.
[[nodiscard]] const char* system_call_name(std::uint32_t number) noexcept;

}  // namespace heddle::detail::seeing
