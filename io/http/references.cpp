// SPDX-License-Identifier: MIT
// URLs as people and servers write them: encoding what is not encoded, and references.
#include <heddle/core/errors.h>
#include <heddle/io/http/url.h>

#include <algorithm>

namespace heddle::http {
namespace {

bool is_hex(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_escape(std::string_view text) noexcept {
  return text.size() >= 3 && text[0] == '%' && is_hex(text[1]) && is_hex(text[2]);
}

void append_escape(std::string& out, char c) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += digits[byte >> 4];
  out += digits[byte & 15];
}

/// Path, query or fragment, encoded where it must be.
void append_encoded(std::string& out, std::string_view text) {
  constexpr std::string_view never = " \"<>\\^`{|}";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool lone = c == '%' && !is_escape(text.substr(i));
    if (lone || static_cast<unsigned char>(c) >= 0x80 || never.find(c) != never.npos)
      append_escape(out, c);
    else
      out += c;
  }
}

void refuse_controls(std::string_view text) {
  const auto bad = std::ranges::find_if(
      text, [](char c) { return (static_cast<unsigned char>(c) < ' ') || c == 0x7f; });
  if (bad != text.end()) throw bad_value("a URL holds no control characters");
}

/// "https://h:1" of "https://h:1/a?b#c".
std::string_view origin_part(std::string_view text) {
  const auto scheme = text.find("://");
  if (scheme == text.npos) return {};
  return text.substr(0, std::min(text.find_first_of("/?#", scheme + 3), text.size()));
}

bool has_scheme(std::string_view text) noexcept {
  const auto colon = text.find_first_of(":/?#");
  if (colon == text.npos || colon == 0 || text[colon] != ':') return false;
  const auto name = text.substr(0, colon);
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return is_letter(name.front()) && std::ranges::all_of(name, [&](char c) {
           return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
         });
}

/// 1 for "." and "%2e", 2 for "..", 0 for any other segment.
int dots_in(std::string_view segment) noexcept {
  int n = 0;
  while (!segment.empty()) {
    if (segment.front() == '.')
      segment.remove_prefix(1);
    else if (segment.starts_with("%2e") || segment.starts_with("%2E"))
      segment.remove_prefix(3);
    else
      return 0;
    if (++n > 2) return 0;
  }
  return n;
}

/// RFC 3986, 5.2.4.
std::string without_dots(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    path.remove_prefix(path.front() == '/' ? 1 : 0);
    const auto segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    const int dots = dots_in(segment);
    if (dots == 2) out.erase(std::min(out.rfind('/'), out.size()));
    if (dots == 0)
      out.append("/").append(segment);
    else if (path.empty())
      out += '/';
  }
  return out.empty() ? "/" : out;
}

/// "/a" and "?b" of "/a?b".
struct pieces_of_target {
  explicit pieces_of_target(std::string_view text)
      : path(text.substr(0, text.find('?'))), query(text.substr(path.size())) {}
  std::string_view path;
  std::string_view query;
};

}  // namespace

std::string encode_url(std::string_view text) {
  refuse_controls(text);
  const auto origin = origin_part(text);
  std::string out(origin);
  append_encoded(out, text.substr(origin.size()));
  return out;
}

std::string resolve_url(std::string_view base, std::string_view reference) {
  refuse_controls(reference);
  while (reference.starts_with(' ')) reference.remove_prefix(1);
  while (reference.ends_with(' ')) reference.remove_suffix(1);
  const auto hash = std::min(base.find('#'), base.size());
  const auto mark = std::min(reference.find('#'), reference.size());
  const std::string fragment(mark < reference.size() ? reference.substr(mark) : base.substr(hash));
  base = base.substr(0, hash);
  reference = reference.substr(0, mark);

  std::string whole;
  if (reference.starts_with("//"))
    whole = std::string(base.substr(0, base.find(':') + 1)) + std::string(reference);
  else if (has_scheme(reference))
    whole = reference;
  const bool absolute = !whole.empty();
  const auto origin = origin_part(absolute ? std::string_view(whole) : base);
  if (origin.empty()) return whole + fragment;  // "mailto:x": its user will refuse it
  std::string out(origin);
  const pieces_of_target has(
      (absolute ? std::string_view(whole) : reference).substr(absolute ? origin.size() : 0));
  const pieces_of_target had(base.substr(absolute ? base.size() : origin.size()));
  auto query = has.query;
  if (absolute || has.path.starts_with('/')) {
    append_encoded(out, without_dots(has.path));
  } else if (has.path.empty()) {
    append_encoded(out, had.path.empty() ? std::string_view("/") : had.path);
    if (query.empty()) query = had.query;
  } else {
    const auto folder = had.path.substr(0, had.path.rfind('/') + 1);
    append_encoded(out, without_dots(std::string(folder) + std::string(has.path)));
  }
  append_encoded(out, query);
  append_encoded(out, fragment);
  return out;
}

std::optional<url_user> take_user(std::string& text) {
  const auto origin = origin_part(text);
  const auto at = origin.rfind('@');
  if (at == origin.npos) return {};
  const auto from = origin.find("://") + 3;
  const auto pair = origin.substr(from, at - from);
  const auto colon = std::min(pair.find(':'), pair.size());
  url_user user;
  const auto password = pair.substr(std::min(colon + 1, pair.size()));
  if (!percent_decode(pair.substr(0, colon), user.name) || !percent_decode(password, user.password))
    throw bad_value("the user or the password in a URL has a broken escape");
  text.erase(from, at + 1 - from);
  return user;
}

}  // namespace heddle::http
