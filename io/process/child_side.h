// SPDX-License-Identifier: MIT
// Internal to io.
// The steps of a child between its birth and its program.
//
// Problem   A child must lead a session on a terminal, obey limits, be another user, or die with
//           its parent. posix_spawn can do none of these. A fork of a program with threads copies
//           its page tables. Code that runs in the copy may meet a lock that nobody will release.
// Rejected  fork: see above. A helper program that does the steps, and then becomes the program:
//           it must be installed beside the library, and costs a second exec. posix_spawn for most
//           children and another way for the rest: that is two ways to be kept right.
// Chosen    What posix_spawn does itself: clone with CLONE_VM and CLONE_VFORK. The child runs on a
//           stack of its own in our memory. Our thread stands still until the exec, or until the
//           child has ended. So nothing is copied, and the child writes an error where we read it.
// Promised  All code that runs in the child stands in child_side.cpp. It makes system calls by
//           their numbers, and nothing else. So it takes no lock, allocates nothing, and calls no
//           function that a program or a sanitizer may have replaced. All that it needs was laid
//           out before, in a child_plan. All signals are blocked until the handlers of this program
//           are taken off, so none of them runs in the child.
//           An exec that fails, or a step before it, is an error here, with its errno.
// Costs     The starting thread stands still during the steps and the exec, as in posix_spawn.
#pragma once

#include <cstddef>

#include <sys/resource.h>
#include <sys/types.h>

namespace heddle::detail {

/// What the child does, in the order of the fields. All memory belongs to the parent, and stays as
/// it is until the child has its program.
struct child_plan {
  struct move {
    int from;
    int to;  // the same number: it is kept open over the exec
  };
  struct gap {
    unsigned first, last;
  };
  struct limit {
    int resource;
    rlimit values;
  };

  bool leads_session = false;
  bool joins_group = false;
  pid_t group = 0;    // with joins_group; 0: a group of its own
  int terminal = -1;  // becomes the controlling terminal
  const move* moves = nullptr;
  std::size_t move_count = 0;
  bool sets_nice = false;
  int nice = 0;
  const limit* limits = nullptr;
  std::size_t limit_count = 0;
  bool sets_mask = false;
  mode_t mask = 0;
  const char* directory = nullptr;
  bool sets_groups = false;
  const gid_t* groups = nullptr;
  std::size_t group_count = 0;
  bool sets_group_id = false;
  gid_t group_id = 0;
  bool sets_user_id = false;
  uid_t user_id = 0;
  const gap* gaps = nullptr;  // the numbers that are closed
  std::size_t gap_count = 0;
  int death_signal = 0;
  pid_t parent = 0;
  const char* const* places = nullptr;  // paths of the program, tried in turn; nullptr ends them
  char* const* command = nullptr;
  char* const* environment = nullptr;

  // Written by the child before it ends, read by the parent after that.
  const char* failed_call = nullptr;  // nullptr: the program was started
  int error = 0;
  int failed_number = -1;  // the descriptor or the limit that the call was about
};

/// The child's code. Does not return.
int run_child(void* plan) noexcept;

}  // namespace heddle::detail
