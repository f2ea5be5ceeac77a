// SPDX-License-Identifier: MIT
// Internal to io.
// A part of a file, sent over a stream: by the kernel, or by reading and writing.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/files/file_jobs.h>
#include <heddle/io/streams/stream_core.h>

#include <cstdint>

namespace heddle::detail {

/// What is to be sent.
struct file_part {
  std::uint64_t offset = 0;
  std::uint64_t count = 0;
  // True: an error if the file becomes shorter. False: up to the end that reading finds, and at
  // most `count` bytes.
  bool is_known = true;
  bool fallback = true;
};

/// Holds the place of a file in a stream, from begin_file() on.
class file_in_place {
 public:
  explicit file_in_place(stream_core& core) noexcept : core_(core) {}
  file_in_place(const file_in_place&) = delete;
  ~file_in_place() { core_.end_file(); }

 private:
  stream_core& core_;
};

// For all of these `core` must outlive the task. They throw as heddle::send_file.

/// Waits until no other task sends a file, and takes the place.
[[nodiscard]] task<> begin_file(stream_core& core);
/// Sends in the place that the caller has taken. Adds to `sent`.
[[nodiscard]] task<> send_in_place(stream_core& core, shared_file from, file_part part,
                                   std::uint64_t& sent);
/// Takes the place, sends, and gives the place back.
[[nodiscard]] task<> send_part(stream_core& core, shared_file from, file_part part);

}  // namespace heddle::detail
