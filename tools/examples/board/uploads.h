// SPDX-License-Identifier: MIT
// Files that guests upload. They go from the connection to the disk piece by piece.
#pragma once

#include "counters.h"
#include "message.h"
#include "names.h"
#include "room.h"

#include <heddle/heddle.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace board {

/// DIRECTORY/files holds what is whole, DIRECTORY/incoming what still comes. On the disk a file
/// has a random name and the end of its own (".png"): nothing that a guest writes is a path.
class uploads {
 public:
  explicit uploads(std::string directory) : directory_(std::move(directory)) {}

  /// Makes the directories, drops what never became whole, and counts what there is.
  h::task<> start();
  /// Reads a form from the request, keeps its "file", and says it in the room.
  h::task<message> receive(room& where, http::request& from);
  [[nodiscard]] std::string files() const { return directory_ + "/files"; }

 private:
  class share;
  /// Gives what is `whole` its name among the files, and says the message. If it cannot be said,
  /// the file goes too.
  h::task<message> keep_and_say(room& where, const std::string& whole, message m);
  [[nodiscard]] std::string incoming() const { return directory_ + "/incoming"; }

  const std::string directory_;
  std::atomic<std::uint64_t> used_{0};  // bytes of files, and what uploads under way may take
};

/// The handler of POST /rooms/{room}/files: multipart/form-data with "who", "text" and "file".
h::task<message> upload(room_name where, http::request& from, http::state<rooms> all,
                        http::state<uploads> files, http::state<counters> count);

/// Around the routes of the files: a browser shows pictures, and saves everything else. Whatever
/// a file holds, no script in it runs.
h::task<http::response> as_harmless_file(http::request& asked, http::next go_on);

}  // namespace board
