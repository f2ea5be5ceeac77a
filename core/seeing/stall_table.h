// SPDX-License-Identifier: MIT
// Internal to core.
// What a program keeps of its stalls: of steps that kept a loop for too long. The watch writes it
// (sched/stalls/), and readers find it by the root "stalls".
//
// All of it is plain words without pointers into the heap, so a reader copies it whole. `version`
// is odd while the watch writes. A copy holds if the version was even before it and is the same
// after it. A reader and a program must agree in the sizes of both structs: the rows "stalls" and
// "stall" tell them.
#pragma once

#include <heddle/core/base/atomic.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

/// One stack that kept a loop, and how often it did. Times are nanoseconds.
struct stall_entry {
  static constexpr std::size_t most_frames = 32;
  static constexpr std::size_t most_chain = 16;

  // The default is all zeros: a table costs no byte in the program's file.
  std::uint64_t key = 0;    // by what stalls are alike; 0: the entry is free
  std::uint64_t count = 0;  // stalls so far
  std::uint64_t longest = 0;
  std::uint64_t total = 0;  // of those that are over
  // Of the latest stall:
  std::uint64_t lasted = 0;  // so far
  std::uint64_t began = 0;   // by the monotonic clock
  std::uint64_t loop = 0;    // the loop that it keeps; 0: it is over
  std::uint64_t number = 0;  // of the task's record, for people; 0: no task ran
  std::uint32_t generation = 0;
  std::uint32_t loop_number = 0;
  std::uint32_t call = 0;  // the number of the system call that blocks, and 1; 0: none
  // Where the task was made. Without a task: the number of the hogged loop that the loop served,
  // and 1; 0: it served none.
  std::uint32_t made_line = 0;
  std::uint32_t frame_count = 0;
  std::uint32_t chain_count = 0;
  std::uint64_t frames[most_frames] = {};  // of the thread: addresses in code, the innermost first
  std::uint64_t chain[most_chain] = {};    // of the task: functions that resume, likewise
  char task[64] = "";                      // the name of the task
  char made_file[96] = "";
};

struct stall_table {
  static constexpr std::size_t room = 64;

  plain_atomic<std::uint32_t> version{0};
  std::uint32_t unused = 0;
  std::uint64_t limit = 0;        // a step that takes longer is a stall; 0: nothing is watched
  std::uint64_t all = 0;          // stalls, with those whose entry was given to another
  std::uint64_t forgotten = 0;    // of these
  std::uint64_t standstills = 0;  // times that the whole process stood still
  std::uint64_t longest_standstill = 0;
  stall_entry entries[room] = {};
};

}  // namespace heddle::detail::seeing
