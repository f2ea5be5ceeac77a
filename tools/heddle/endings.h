// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: what close() of a runtime waits for, and what run() does.
#pragma once

#include <heddle/core/seeing/sight.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;

/// A runtime that ends, or in which threads wait for tasks.
struct ending {
  std::uint64_t runtime = 0;  // its number
  bool is_ending = false;     // close() has begun
  std::uint64_t left = 0;     // tasks of the round that have not ended, as the program counts them
  std::vector<std::uint64_t> tasks;  // ending: those of the round; else those that run waits for
  std::uint64_t others = 0;          // tasks beside these
};

/// True: `why close` and `why run` may be meant.
[[nodiscard]] bool means_ending(const std::string& task);
/// Of each runtime that ends; `run`: also of one that does not, if a thread waits in run for a task
/// of it. Empty: nothing of that kind.
[[nodiscard]] std::vector<ending> endings_of(seeing::sight& from, bool run);
/// "close() of runtime 1 waits for 2 tasks of its round, which were cancelled", for people.
[[nodiscard]] std::string headline(const ending& e);
/// How far the cancellation of a task of the round has come. Empty: its wait tells.
[[nodiscard]] std::string progress_of(const seeing::task_view& task);

}  // namespace tool
