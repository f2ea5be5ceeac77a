// SPDX-License-Identifier: MIT
// Internal to core.
// Whether anything can happen any more in this program, and the text that says what stands still.
#pragma once

#include <heddle/core/seeing/output.h>
#include <heddle/core/seeing/sight.h>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

/// A thread that may do something: it is no loop, and does not wait for one.
struct foreign_thread {
  pid_t number;
  char name[16];
};

enum class stillness : std::uint8_t {
  moves,    // something can happen
  unclear,  // a loop is awake just now: to be looked at again
  still,
};
/// Still: all loops sleep, but for the calling one, and have no timer. Each task waits, and for
/// what only a task or a thread can do. `tasks`: how many wait. The caller looks for descriptors,
/// handlers and jobs.
[[nodiscard]] stillness how_still(sight& from, std::uint64_t& tasks) noexcept;
/// "heddle: nothing can happen any more: 2 tasks wait, ...", a line for each task, and the circles
/// in which they wait for each other.
void put_stillness(output& to, sight& from, std::uint64_t tasks, const foreign_thread* threads,
                   std::size_t thread_count) noexcept;

}  // namespace heddle::detail::seeing
