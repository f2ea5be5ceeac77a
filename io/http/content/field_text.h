// SPDX-License-Identifier: MIT
// Internal to io.
// The grammar that the values of many fields share: tokens, quoted strings, parameters (RFC 9110,
// 5.6). One reader for media types, Content-Disposition, challenges, Forwarded, Link, Accept.
#pragma once

#include <heddle/io/http/message/grammar.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http::detail {

/// How much of the grammar's rules is insisted on.
///   strict   RFC 9110
///   uploads  as browsers write Content-Disposition: a backslash is itself, unless a quote or a
///            backslash follows ("C:\x\y.txt"). A value without quotes may hold blanks.
enum class dialect : std::uint8_t { strict, uploads };

/// Reads a field's value from left to right. It keeps a view of the text.
class field_scanner {
 public:
  explicit field_scanner(std::string_view text, dialect how = dialect::strict) noexcept
      : rest_(text), how_(how) {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  /// What was not taken yet.
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
  void skip_blanks() noexcept;
  /// Takes blanks, and `c` behind them. False: something else stands there, and nothing is taken.
  bool take(char c) noexcept;
  /// Takes a token. "": none stands there.
  std::string_view token() noexcept;
  /// Takes all before the first of `ends`, or all, and yields it without blanks around it.
  std::string_view until(std::string_view ends) noexcept;
  /// Takes a quoted string; `out` becomes what it means. False: none stands there, or it is not
  /// closed. Nothing is taken then.
  bool quoted(std::string& out);
  /// Takes a token or a quoted string. False: neither stands there.
  bool value(std::string& out);

 private:
  std::string_view rest_;
  dialect how_;
};

using text_pairs = std::vector<std::pair<std::string, std::string>>;

/// Takes `; name=value` as often as that stands there, and adds it to `out`; names become lower
/// case. Empty ones ("; ;") are passed over. False: one is malformed, and stands at `from.rest()`.
bool read_parameters(field_scanner& from, text_pairs& out);

/// The first value of that name, which is in lower case. nullptr: there is none.
[[nodiscard]] const std::string* find_parameter(const text_pairs& in,
                                                std::string_view name) noexcept;

/// The text between quotes, with a backslash before quotes and backslashes.
[[nodiscard]] std::string quoted_text(std::string_view text);
/// The text if it is a token, or else quoted.
[[nodiscard]] std::string token_or_quoted(std::string_view text);

[[nodiscard]] std::string_view without_blanks(std::string_view text) noexcept;
[[nodiscard]] std::string lower_case(std::string_view text);
[[nodiscard]] bool is_token_text(std::string_view text) noexcept;
/// True: a control character, tab among them.
[[nodiscard]] constexpr bool is_control(char c) noexcept {
  return (c >= 0 && c < ' ') || c == 0x7f;
}

}  // namespace heddle::http::detail
