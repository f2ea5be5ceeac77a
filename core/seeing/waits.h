// SPDX-License-Identifier: MIT
// Internal to core.
// What a task waits in: from the object in its frame to words.
//
// The object has virtual functions, so its first word leads to the name of its class (RTTI). The
// name is looked up among the program's rows; if none fits, that of its base. Nothing is called.
#pragma once

#include <heddle/core/seeing/program.h>
#include <heddle/core/seeing/short_writer.h>
#include <heddle/core/seeing/task_view.h>

namespace heddle::detail::seeing {

class wait_reader {
 public:
  /// `now`: the time by the clock of the program, in nanoseconds; 0: not known.
  wait_reader(const program& of, std::uint64_t now) noexcept : program_(&of), now_(now) {}
  wait_reader(const wait_reader&) = delete;

  /// Fills in waits_in and target, from the wait at `at`. False: no wait stands there.
  [[nodiscard]] bool describe(memory& from, address at, task_view& to) noexcept;
  /// True: the pointer at `at` stands where a wait has the one to what it waits in.
  [[nodiscard]] bool is_in_a_wait(memory& from, address at) noexcept;
  /// True: the timer `node` is armed, and due in `left` nanoseconds.
  [[nodiscard]] bool time_left(memory& from, address node, std::uint64_t& left) const noexcept;
  /// Calls `see(context, eventual)` for each eventual that the wait at `at` is for, besides its
  /// target: the children of a gather, the members of a wait, the tasks of a group. At most 100000.
  void each_member(memory& from, address at, void (*see)(void*, address), void* context) noexcept;

 private:
  struct known {
    address table = 0;        // the first word of the object
    std::int64_t to_top = 0;  // from the wait to the beginning of the object
    const kind_row* kind = nullptr;
    const kind_row* target = nullptr;
    const kind_row* members = nullptr;
    char plain[48] = "";  // the class's own name, if no row fits
  };
  [[nodiscard]] const known* look_up(memory& from, address table) noexcept;
  [[nodiscard]] const kind_row* row_for(const char* type) const noexcept;
  void write(memory& from, address top, const kind_row& row, short_writer& to) noexcept;
  [[nodiscard]] bool value(memory& from, address top, const figure& f,
                           std::uint64_t& to) const noexcept;
  void put_deadline(memory& from, address node, short_writer& to) noexcept;
  void find_object(memory& from, address top, const kind_row& row, task_view& to) noexcept;

  static constexpr std::size_t slots = 64;
  const program* program_;
  std::uint64_t now_;
  known known_[slots];
};

/// True: `type` is what `pattern` says, in which a star stands for anything.
[[nodiscard]] bool fits(const char* pattern, const char* type) noexcept;

}  // namespace heddle::detail::seeing
