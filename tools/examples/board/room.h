// SPDX-License-Identifier: MIT
// A room: who is in it, and what was said.
#pragma once

#include "history.h"
#include "message.h"

#include <heddle/heddle.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace board {

namespace http = heddle::http;

/// What is said is kept first and told then, one message after the other. So all guests see the
/// same messages in the same order, and it is that of the file.
class room {
 public:
  explicit room(std::string path) : path_(std::move(path)), talk_(how_it_talks()) {}

  /// Sends a newcomer what was said after the message `after`, then all that will be. Neither is
  /// a message missing between the two, nor does one come twice.
  h::task<http::subscription> enter(http::websocket& ws, std::uint64_t after);
  /// Yields the message with its number. Throws refused if the disk is full.
  h::task<message> say(message m);
  /// Tells all guests how many they are.
  h::task<> publish_count();
  [[nodiscard]] std::size_t guests() const noexcept { return talk_.subscribers(); }

 private:
  static http::topic_options how_it_talks();
  h::task<> recall();

  const std::string path_;
  h::mutex turn_;                // for past_, and for the order of all that is sent
  std::optional<history> past_;  // none: nobody has come in yet
  http::topic talk_;
};

/// All rooms of a board. They are used from all loops at once.
class rooms {
 public:
  struct entry {
    std::string name;
    std::size_t guests = 0;
  };

  explicit rooms(std::string directory) : directory_(std::move(directory)) {}

  /// Finds the rooms that have a history.
  h::task<> start();
  /// The room of that name, which is made if need be. Throws refused beyond limits::rooms.
  std::shared_ptr<room> at(const std::string& name);
  /// By name.
  [[nodiscard]] std::vector<entry> list() const;

 private:
  std::shared_ptr<room>& make(const std::string& name);

  const std::string directory_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<room>> all_;  // under mutex_
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(rooms::entry, name, guests)

}  // namespace board
