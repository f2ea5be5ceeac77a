// SPDX-License-Identifier: MIT
#include "names.h"

#include "limits.h"
#include "refused.h"

#include <algorithm>

namespace board {
namespace {

bool is_plain(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::string_view trimmed(std::string_view text) {
  const auto from = text.find_first_not_of(" \t\r\n");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

std::string checked_text(std::string_view text, std::size_t most, const std::string& what,
                         std::string_view allowed) {
  const auto inner = trimmed(text);
  if (inner.empty()) throw refused(400, what + " is missing");
  if (inner.size() > most)
    throw refused(400, what + " has more than " + std::to_string(most) + " bytes");
  const auto is_control = [allowed](char c) {
    return ((c >= 0 && c < ' ') || c == 0x7f) && allowed.find(c) == std::string_view::npos;
  };
  if (std::ranges::any_of(inner, is_control))
    throw refused(400, what + " holds control characters");
  try {
    return heddle::http::to_utf8(inner, "utf-8");
  } catch (const heddle::http::payload_error&) { throw refused(400, what + " is no UTF-8"); }
}

}  // namespace

room_name to_room_name(std::string_view text) {
  const bool fits = !text.empty() && text.size() <= limits::room_name;
  if (!fits || text.front() == '-' ||
      !std::ranges::all_of(text, [](char c) { return is_plain(c) || c == '-'; })) {
    throw refused(400, "the name of a room is 1 to " + std::to_string(limits::room_name) +
                           " of a-z, 0-9 and \"-\", and begins with no \"-\"");
  }
  return {std::string(text)};
}

std::string one_line(std::string_view text, std::size_t most, const std::string& what) {
  return checked_text(text, most, what, "");
}

std::string many_lines(std::string_view text, std::size_t most, const std::string& what) {
  return checked_text(text, most, what, "\n\t");
}

}  // namespace board

namespace heddle::http {

board::guest_name from_request<board::guest_name>::from(request& r) {
  return {board::one_line(r.query("who").value_or(""), board::limits::guest_name, "your name")};
}

}  // namespace heddle::http
