// SPDX-License-Identifier: MIT
// The messages of one room in a file, a line of JSON for each.
#pragma once

#include "message.h"

#include <heddle/heddle.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace board {

namespace h = heddle;

/// The file only grows at its end. When it is full it becomes PATH.old, in place of an older one.
/// A program that was killed while it wrote has left half a line: opening drops that.
/// It is used by one task at a time.
class history {
 public:
  /// Makes the file if there is none, and reads its last messages.
  static h::task<history> open(std::string path);

  /// The last messages, the oldest first: at most limits::kept.
  [[nodiscard]] const std::deque<message>& last() const noexcept { return last_; }
  [[nodiscard]] std::uint64_t next_id() const noexcept {
    return last_.empty() ? 1 : last_.back().id + 1;
  }
  /// Writes a message behind the others. When this returns, the kernel has it: it outlives the
  /// program. A message that did not fit on the disk leaves no trace. Throws std::system_error.
  h::task<> append(message m);

 private:
  explicit history(std::string path) : path_(std::move(path)) {}
  h::task<> begin_anew();
  void remember(message m);

  std::string path_;
  h::file file_;
  std::uint64_t size_ = 0;
  std::deque<message> last_;
};

}  // namespace board
