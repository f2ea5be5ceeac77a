// SPDX-License-Identifier: MIT
// Internal to core.
// The await chain of a task that runs just now.
//
// Problem   The record of a running task does not know its frames: what it says is of the last
//           wait, and may be gone.
// Chosen    The innermost coroutine is a function on its thread's stack. That function needs its
//           frame, so the frame's address is in a register or near the top of the stack. Such a
//           word leads to a frame if the frame begins with a function that the thread is in, and
//           names the task's record. From that frame the chain goes on as that of a waiting task.
// Promised  Each word may be anything: every read may fail, and what does not hold is passed over.
#pragma once

#include <heddle/core/seeing/program.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

struct live_chain {
  static constexpr std::size_t most = 16;
  std::size_t count = 0;
  address resume[most] = {};  // functions, from the innermost to the root
};

/// Words that may lead to the frame, in the order in which they are tried; and the functions that
/// the thread is in, by their first addresses.
struct live_words {
  const std::uint64_t* words = nullptr;
  std::size_t count = 0;
  const std::uint64_t* functions = nullptr;
  std::size_t function_count = 0;  // 0: not known
};

/// False: none of the words leads to a frame of the task at `record`.
[[nodiscard]] bool find_live_chain(const program& of, memory& from, address record,
                                   const live_words& where, live_chain& to) noexcept;

}  // namespace heddle::detail::seeing
