// SPDX-License-Identifier: MIT
// One message of a room, and its JSON.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace board {

/// A file that was uploaded with a message.
struct attachment {
  std::string path;  // where the board shows it: "/files/..."
  std::string name;  // as its sender calls it
  std::uint64_t bytes = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(attachment, path, name, bytes)

struct message {
  std::uint64_t id = 0;  // 1, 2, 3, ... in each room
  std::int64_t at = 0;   // milliseconds since 1970
  std::string who;
  std::string text;
  std::optional<attachment> file = {};
};

void to_json(nlohmann::json& to, const message& m);
void from_json(const nlohmann::json& from, message& m);

/// A message of now, without a number yet.
message new_message(std::string who, std::string text);

}  // namespace board
