// SPDX-License-Identifier: MIT
// Internal to core.
// One task, as a reader has seen it. Fixed in size: nothing is allocated for it.
#pragma once

#include <heddle/core/record/word.h>
#include <heddle/core/seeing/memory.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

/// Frames of one function that wait at one place, one inside the other: a recursion is told in one
/// line.
struct frame_run {
  address resume = 0;  // the function that resumes the frame
  address place = 0;   // of the co_await in which the frame waits (places.h); 0: not known
  std::uint64_t count = 0;
};

enum class doing : std::uint8_t {
  waits,        // in a primitive, or for a target
  not_started,  // created, and no step yet; or in its first one, which a loop may tell
  active,       // ready or running; a queue or a loop may have it: see loops_view.h
  moving,       // it changed at each look
};

struct task_view {
  static constexpr std::size_t most_runs = 48;

  address at = 0;            // of the record
  std::uint64_t number = 0;  // of the record, from 1
  std::uint32_t generation = 0;
  std::uint64_t word = 0;
  std::uint16_t runtime = 0;
  bool is_strand = false;
  bool is_pinned = false;
  doing what = doing::moving;
  address home = 0;
  std::uint64_t since = 0;  // ns since its last step began, to 0.13 s; see home_word
  bool since_known = false;

  char name[128] = "";
  char message[96] = "";  // of the latest cancellation
  char made_file[256] = "";
  char made_function[256] = "";
  std::uint32_t made_line = 0;
  std::uint64_t by_number = 0;  // of the task or strand that made it; 0: none, or not known
  std::uint32_t by_generation = 0;
  address by = 0;
  std::uint64_t made_ago = 0;  // ns; 0: not known

  address wait = 0;        // the object that it waits in
  char waits_in[96] = "";  // "queue.put 4/4"
  address target = 0;      // the eventual that it awaits
  std::uint8_t target_kind = 0;
  std::uint64_t target_number = 0;  // of a task; 0: not known
  std::uint32_t target_generation = 0;

  // What it waits in, if that is a primitive.
  address object = 0;  // 0: not known
  std::uint32_t object_bytes = 0;
  bool ended_by_tasks = false;  // no timer, descriptor or job ends the wait by itself
  bool one_is_enough = false;   // of several that it waits for
  bool is_locked = false;       // the object is a lock, and is held, if shared by a writer
  // The task that holds the lock; number 0: no task, or not known.
  address owner = 0;
  std::uint64_t owner_number = 0;
  std::uint32_t owner_generation = 0;
  bool owner_ended = false;
  bool owner_has_strands = false;  // it stands for those of them that have no record
  char owner_name[64] = "";
  // The earliest time-out around it, in nanoseconds from now; 0: none.
  std::uint64_t gives_up_in = 0;

  address task = 0;           // strands: the record of the task that they are part of
  address below = 0;          // strands: the record that they were forked under; 0: not known
  std::uint32_t strands = 0;  // tasks: strands below that have a record

  std::uint64_t depth = 0;  // frames, from the innermost to the root
  std::size_t runs = 0;
  bool more_runs = false;  // there were more than fit: the last run is the root's
  frame_run frames[most_runs];

  [[nodiscard]] task_state state() const noexcept { return word::state(word); }
};

}  // namespace heddle::detail::seeing
