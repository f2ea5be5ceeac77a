// SPDX-License-Identifier: MIT
// Internal to io.
// The place of a file in the order of what is written to a stream.
//
// Problem   A file is sent piece by piece, by a task that waits between the pieces: for room, for a
//           disk. What other tasks write meanwhile must come behind the file, and never inside.
//           The task may be cancelled, and the connection may break or be closed at each moment.
// Chosen    The bytes of the file count as written from the beginning, so that drain() waits for
//           them, and nobody takes the sender's role as if nothing were pending. Other writers
//           append to `behind`. The task has its turn when the sender has sent what was written
//           before, or the last piece. Between its calls the task holds no role, so that an end of
//           the connection waits for no disk.
// Rejected  Pieces of files in the output queue: then the sender would read from disks, and the
//           sender may be a reactor that told of room.
#pragma once

#include <heddle/core/record/wait.h>

#include <cstddef>
#include <string>

namespace heddle::detail {

/// Made for the first file of a stream, and kept: tasks wait in its queues. All of it is under the
/// output lock. The locks of the queues are taken under that lock.
struct file_place {
  bool busy = false;       // a task sends a file
  std::size_t unsent = 0;  // counted as pending for that file, and one more: never 0 while busy
  std::string behind;      // written meanwhile
  wait_queue turns;        // the task that sends
  wait_queue others;       // tasks that want to send another file
};

}  // namespace heddle::detail
