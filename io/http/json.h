// SPDX-License-Identifier: MIT
// JSON bodies as values of a program's own types, by nlohmann's to_json and from_json.
//
//   const auto u = http::read_json<user_t>(answer.body);
//   EXPECT_EQ(http::write_json(u), answer.body);
//
// This header includes <nlohmann/json.hpp>, which the others of this wing avoid.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message/json_fwd.h>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace heddle::http {

namespace detail {

/// payload_error for a value that has the wrong shape. `attempt` converts a value, and yields the
/// error's text, or "".
[[noreturn]] void refuse_json(const json_value& value, const std::string& error,
                              const std::function<std::string(const json_value&)>& attempt);
/// bad_value for a value that cannot be written.
[[noreturn]] void refuse_to_write(const std::string& error);

template <class T>
std::string conversion_error(const json_value& value) {
  try {
    (void)value.get<T>();
  } catch (const nlohmann::json::exception& e) { return e.what(); }
  return {};
}

}  // namespace detail

/// Arrays and objects inside each other. A text of deeper ones is refused: nlohmann's copies and
/// writes call themselves for each, and would overflow the stack.
inline constexpr std::size_t most_json_depth = 500;

/// The value of a text in UTF-8. Throws payload_error with the line and the column for what is no
/// JSON, and for more than most_json_depth. The error's text is short and ASCII, whatever came.
[[nodiscard]] json_value parse_json(std::string_view text);

/// A value as a T. Throws payload_error, which names the field, where a type does not fit or a key
/// is missing; and what T's from_json throws itself.
/// Cost  an error in a text of a few KiB: some 100 conversions, to find the field
template <class T>
[[nodiscard]] T json_to(const json_value& value) {
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception& e) {
    detail::refuse_json(value, e.what(), detail::conversion_error<T>);
  }
}

/// parse_json() and json_to().
template <class T>
[[nodiscard]] T read_json(std::string_view text) {
  return json_to<T>(parse_json(text));
}

/// The text of a value: compact, in UTF-8. Throws bad_value for a string that is not UTF-8.
[[nodiscard]] std::string json_text(const json_value& value);

/// The text of a T by its to_json.
template <class T>
[[nodiscard]] std::string write_json(const T& value) {
  try {
    return json_text(json_value(value));
  } catch (const nlohmann::json::exception& e) { detail::refuse_to_write(e.what()); }
}

}  // namespace heddle::http
