// SPDX-License-Identifier: MIT
#include <heddle/io/http/typed.h>

#include <heddle/core/checked.h>

#include <cstdint>

namespace heddle::http::detail {
namespace {

std::string_view trimmed(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t\"");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\"") - first + 1);
}

bool ends_with_json(std::string_view type) noexcept {
  constexpr std::string_view suffix = "+json";
  return type.size() > suffix.size() &&
         same_token(type.substr(type.size() - suffix.size()), suffix);
}

/// The value as a number or a bool, or null if it looks like neither.
nlohmann::json plain_value(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  const auto value = nlohmann::json::parse(text, nullptr, false);
  return value.is_number() ? value : nlohmann::json();
}

}  // namespace

void check_json_type(const request& r) {
  const auto field = r.headers.get("content-type").value_or("");
  const auto type = trimmed(field.substr(0, field.find(';')));
  if (!same_token(type, "application/json") && !ends_with_json(type))
    throw problem(415, "the body is to be application/json");
  for (auto rest = field; rest.find(';') != std::string_view::npos;) {
    rest.remove_prefix(rest.find(';') + 1);
    const auto parameter = rest.substr(0, rest.find(';'));
    const auto equals = parameter.find('=');
    if (equals == std::string_view::npos) continue;
    if (!same_token(trimmed(parameter.substr(0, equals)), "charset")) continue;
    const auto charset = trimmed(parameter.substr(equals + 1));
    if (!same_token(charset, "utf-8") && !same_token(charset, "us-ascii"))
      throw problem(415, "JSON is read in UTF-8, and not in another charset");
  }
}

nlohmann::json object_of(const pairs& all, std::size_t texts, std::size_t& looks) {
  nlohmann::json o = nlohmann::json::object();
  looks = 0;
  for (const auto& [name, text] : all) {
    if (o.contains(name)) continue;  // the first one counts
    auto value = plain_value(text);
    if (!value.is_null() && ((texts >> std::min<std::size_t>(looks++, 63)) & 1) == 0)
      o[name] = std::move(value);
    else
      o[name] = text;
  }
  return o;
}

}  // namespace heddle::http::detail
