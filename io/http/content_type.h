// SPDX-License-Identifier: MIT
// Media types with their parameters, and text in other charsets than UTF-8.
//
//   const auto t = http::content_type::parse("Text/HTML; charset=\"Latin-1\"");
//   EXPECT_EQ(t->type, "text/html");
//   EXPECT_EQ(http::to_utf8("\xe9", t->charset()), "\xc3\xa9");
//
// The type of a file's name: media_type_of() in files.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// The value of a Content-Type field.
struct content_type {
  std::string type;                                             // lower case: "text/html"
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case

  /// Nothing: the text does not begin with a type. Malformed parameters, and those behind them, are
  /// left out.
  [[nodiscard]] static std::optional<content_type> parse(std::string_view text);
  /// The first parameter of that name, which is in lower case. nullptr: there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
  /// "" : none is named.
  [[nodiscard]] std::string_view charset() const noexcept;
  /// "application/json", or a type that ends with "+json".
  [[nodiscard]] bool is_json() const noexcept;
  [[nodiscard]] std::string text() const;
};

/// What becomes of bytes that the charset does not have.
///   refuse   payload_error, which says where
///   replace  U+FFFD stands for them
enum class invalid_bytes : std::uint8_t { refuse, replace };

/// Text as UTF-8, without a byte order mark. A mark of UTF-8 says more than the charset's name. One
/// of UTF-16 is looked for if the name is a UTF-16, or if there is no name.
/// Known are utf-8, us-ascii, iso-8859-1 (latin-1), windows-1252, utf-16le, utf-16be, and utf-16,
/// which is little-endian without a mark. An unknown name, and none, means UTF-8.
[[nodiscard]] std::string to_utf8(std::string_view bytes, std::string_view charset);
[[nodiscard]] std::string to_utf8(std::string_view bytes, std::string_view charset,
                                  invalid_bytes how);

}  // namespace heddle::http
