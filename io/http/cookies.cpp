// SPDX-License-Identifier: MIT
#include <heddle/io/http/cookies.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/writer.h>

#include <algorithm>
#include <array>

namespace heddle::http {
namespace {

using detail::is_control;
using detail::without_blanks;

/// RFC 6265, 4.1.1: cookie-octet.
bool is_octet(char c) noexcept {
  return c > ' ' && c <= '~' && c != '"' && c != ',' && c != ';' && c != '\\';
}

bool is_cookie_value(std::string_view text) noexcept {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  return std::ranges::all_of(text, is_octet);
}

bool ends_attribute(char c) noexcept { return c == ';' || is_control(c); }

void check_name(std::string_view name) {
  if (!detail::is_token_text(name))
    throw bad_value("the name of a cookie, \"" + printable(name) + "\", is no token");
}

void check_attribute(std::string_view cookie, const char* what, std::string_view value) {
  if (std::ranges::none_of(value, ends_attribute)) return;
  throw bad_value("the " + std::string(what) + " of the cookie " + std::string(cookie) + ", \"" +
                  printable(value) + "\", holds a semicolon or a control character");
}

void check_prefix(const cookie& c) {
  const bool host = c.name.starts_with("__Host-");
  if ((host || c.name.starts_with("__Secure-")) && !c.secure)
    throw bad_value("the cookie " + c.name + " must be secure, as its name promises");
  if (host && (c.path != "/" || !c.domain.empty()))
    throw bad_value("the cookie " + c.name + " must have the path / and no domain");
}

/// Calls f(name, value) with the text of each pair.
template <class F>
void each_pair(std::string_view field, F f) {
  while (!field.empty()) {
    const auto part = field.substr(0, field.find(';'));
    field.remove_prefix(std::min(field.size(), part.size() + 1));
    const auto eq = part.find('=');
    if (eq == std::string_view::npos) continue;
    const auto name = without_blanks(part.substr(0, eq));
    if (!name.empty()) f(name, without_blanks(part.substr(eq + 1)));
  }
}

}  // namespace

std::string cookie::text() const {
  check_name(name);
  if (!is_cookie_value(value)) {
    throw bad_value("the value of the cookie " + name + ", \"" + printable(value) +
                    "\", holds what no cookie may: encode it, by percent_encode() for example");
  }
  check_attribute(name, "path", path);
  check_attribute(name, "domain", domain);
  check_prefix(*this);
  std::string out = name + "=" + value;
  if (!path.empty()) out += "; Path=" + path;
  if (!domain.empty()) out += "; Domain=" + domain;
  if (max_age) out += "; Max-Age=" + std::to_string(*max_age);
  if (expires) out += "; Expires=" + format_http_date(*expires);
  if (secure) out += "; Secure";
  if (http_only) out += "; HttpOnly";
  constexpr std::array<std::string_view, 4> sites = {"", "; SameSite=Lax", "; SameSite=Strict",
                                                     "; SameSite=None"};
  out += sites[static_cast<std::size_t>(same_site)];
  if (partitioned) out += "; Partitioned";
  return out;
}

cookie cookie::deletion() const {
  cookie gone = *this;
  gone.value.clear();
  gone.max_age = 0;
  gone.expires = 0;
  return gone;
}

std::vector<std::pair<std::string, std::string>> parse_cookies(std::string_view field) {
  std::vector<std::pair<std::string, std::string>> found;
  each_pair(field, [&](std::string_view name, std::string_view value) {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    found.emplace_back(name, value);
  });
  return found;
}

std::string merge_cookies(std::string_view callers_field,
                          const std::vector<std::pair<std::string, std::string>>& of_request,
                          std::string_view of_jar) {
  std::string out;
  std::vector<std::string> seen;  // what an earlier source has given
  std::vector<std::string> given;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (std::ranges::find(seen, name) != seen.end()) return;
    given.emplace_back(name);
    if (!out.empty()) out += "; ";
    out.append(name).append("=").append(value);
  };
  // A source may give a name more than once: a jar has one cookie of a name for each path.
  const auto next_source = [&] { seen = given; };
  each_pair(callers_field, add);
  next_source();
  for (const auto& [name, value] : of_request) {
    check_name(name);
    check_attribute(name, "value", value);
    add(name, value);
  }
  next_source();
  each_pair(of_jar, add);
  return out;
}

}  // namespace heddle::http
