// SPDX-License-Identifier: MIT
#include <heddle/io/http/challenge.h>

#include <heddle/io/http/content/field_text.h>

#include <algorithm>

namespace heddle::http {
namespace {

/// RFC 9110, 11.2: what some schemes have in place of parameters. "": none stands there.
std::string_view take_token68(detail::field_scanner& from) noexcept {
  auto before = from;
  before.skip_blanks();
  const auto text = before.until(" \t,");
  const auto padding = text.find('=');
  const auto body = text.substr(0, padding);
  const auto rest = text.substr(body.size());
  const bool fits = !body.empty() && rest.find_first_not_of('=') == std::string_view::npos &&
                    std::ranges::all_of(body, [](char c) {
                      return detail::is_in(detail::token_chars, c) || c == '/';
                    });
  before.skip_blanks();
  if (!fits || !(before.at_end() || before.rest().front() == ',')) return {};
  from = before;
  return text;
}

/// Takes "name=value", and the comma before it if there is one. False: the next thing is no
/// parameter, but perhaps another challenge.
bool take_parameter(detail::field_scanner& from, bool first, challenge& to) {
  auto at = from;
  bool comma = first;
  while (at.take(',')) comma = true;
  const auto name = at.token();
  std::string value;
  if (!comma || name.empty() || !at.take('=') || !at.value(value)) return false;
  to.parameters.emplace_back(detail::lower_case(name), std::move(value));
  from = at;
  return true;
}

void read_challenges(std::string_view field, std::vector<challenge>& found) {
  detail::field_scanner from(field);
  for (;;) {
    while (from.take(',')) continue;
    const auto scheme = from.token();
    if (scheme.empty()) return;
    challenge c;
    c.scheme = detail::lower_case(scheme);
    if (!take_parameter(from, true, c)) {
      c.token = take_token68(from);
    } else {
      while (take_parameter(from, false, c)) continue;
    }
    found.push_back(std::move(c));
    from.skip_blanks();
    if (!from.at_end() && from.rest().front() != ',') return;  // malformed from here on
  }
}

}  // namespace

const std::string* challenge::find(std::string_view name) const noexcept {
  return detail::find_parameter(parameters, name);
}

std::vector<challenge> parse_challenges(std::span<const std::string_view> fields) {
  std::vector<challenge> found;
  for (const auto field : fields) read_challenges(field, found);
  return found;
}

}  // namespace heddle::http
