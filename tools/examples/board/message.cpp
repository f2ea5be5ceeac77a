// SPDX-License-Identifier: MIT
#include "message.h"

#include <chrono>
#include <utility>

namespace board {

void to_json(nlohmann::json& to, const message& m) {
  to = {{"id", m.id}, {"at", m.at}, {"who", m.who}, {"text", m.text}};
  if (m.file) to["file"] = *m.file;
}

void from_json(const nlohmann::json& from, message& m) {
  from.at("id").get_to(m.id);
  from.at("at").get_to(m.at);
  from.at("who").get_to(m.who);
  from.at("text").get_to(m.text);
  if (from.contains("file")) m.file = from["file"].get<attachment>();
}

message new_message(std::string who, std::string text) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  message m;
  m.at = std::chrono::floor<std::chrono::milliseconds>(now).count();
  m.who = std::move(who);
  m.text = std::move(text);
  return m;
}

}  // namespace board
