// SPDX-License-Identifier: MIT
// Internal to core.
// A process with a heddle in it, opened for reading: all that the parts of a reader need, in one
// piece. Some hundred kilobytes, of which most are never touched: for the heap, or a mapping.
#pragma once

#include <heddle/core/seeing/loops.h>
#include <heddle/core/seeing/modules.h>
#include <heddle/core/seeing/origin.h>
#include <heddle/core/seeing/program.h>
#include <heddle/core/seeing/symbols.h>
#include <heddle/core/seeing/tasks.h>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

enum class opening : std::uint8_t {
  good,
  gone,           // no such process, or it ended meanwhile
  refused,        // this process may not read that one
  no_heddle,      // no heddle is in it
  other_version,  // of a layout that this reader does not know
  incomplete,     // a row is missing: missing() names it
};

class sight {
 public:
  /// Of process `of`; 0: of this one. `from`: its memory is read there, and not in the process.
  explicit sight(pid_t of, memory* from = nullptr) noexcept;
  /// Of a program that is no process: a core, or what a debugger has before it. What a clock would
  /// tell (how long a sleep has left) is not told.
  explicit sight(origin& where) noexcept;
  sight(const sight&) = delete;

  /// Finds the heddle number `which` of the process: a program may have several, in shared
  /// libraries. Of this process it is the one that this reader belongs to.
  [[nodiscard]] opening open(std::size_t which = 0) noexcept;
  /// Reads the loops and their queues anew: before each walk over the tasks. False: they changed at
  /// each look, and what was read last is there.
  bool look_at_loops() noexcept { return loops_.load(program_); }

  [[nodiscard]] task_reader& tasks() noexcept { return tasks_; }
  [[nodiscard]] const loops_view& loops() const noexcept { return loops_; }
  [[nodiscard]] symbols& names() noexcept { return names_; }
  [[nodiscard]] const program& what() const noexcept { return program_; }
  [[nodiscard]] const modules& code() const noexcept { return code_; }
  [[nodiscard]] const char* missing() const noexcept { return program_.missing(); }
  [[nodiscard]] pid_t process() const noexcept { return process_; }
  /// The process that the system may be asked about; 0: there is none, since it is a core, or
  /// stands before a debugger. Another process may have the number of a core's by now.
  [[nodiscard]] pid_t living() const noexcept { return origin_ ? 0 : process_; }

 private:
  [[nodiscard]] opening from_errno(int code) const noexcept;
  [[nodiscard]] opening open_at(address layout) noexcept;

  const bool is_own_;
  origin* const origin_;
  const pid_t process_;
  process_memory memory_;
  memory* const from_;
  modules code_;
  program program_;
  task_reader tasks_;
  loops_view loops_;
  symbols names_;
};

}  // namespace heddle::detail::seeing
