// SPDX-License-Identifier: MIT
// Names that strangers choose. Handlers take them as arguments, so that none comes in unchecked.
#pragma once

#include <heddle/heddle.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace board {

/// A name of a room: a-z, 0-9 and "-", and no "-" at its beginning. It is a file name on every
/// file system, and leads nowhere else.
struct room_name {
  std::string text;
};

/// What a guest wants to be called.
struct guest_name {
  std::string text;
};

/// Throws refused for what is no name of a room.
room_name to_room_name(std::string_view text);

/// One line of text, without the blanks around it: UTF-8, no control characters, 1 to `most`
/// bytes. Throws refused, which calls it `what`.
std::string one_line(std::string_view text, std::size_t most, const std::string& what);

/// The same, but with line breaks and tabs.
std::string many_lines(std::string_view text, std::size_t most, const std::string& what);

}  // namespace board

namespace heddle::http {

/// "{room}" of the path.
template <>
struct from_request<board::room_name> {
  static board::room_name from(request& r) {
    return board::to_room_name(r.path_value("room").value_or(""));
  }
};

/// "?who=" of the query.
template <>
struct from_request<board::guest_name> {
  static board::guest_name from(request& r);
};

}  // namespace heddle::http
