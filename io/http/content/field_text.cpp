// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/field_text.h>

#include <algorithm>

namespace heddle::http::detail {

std::string_view without_blanks(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return out;
}

bool is_token_text(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return is_in(token_chars, c); });
}

void field_scanner::skip_blanks() noexcept {
  rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
}

bool field_scanner::take(char c) noexcept {
  const auto at = rest_.find_first_not_of(" \t");
  if (at == std::string_view::npos || rest_[at] != c) return false;
  rest_.remove_prefix(at + 1);
  return true;
}

std::string_view field_scanner::token() noexcept {
  skip_blanks();
  std::size_t n = 0;
  while (n < rest_.size() && is_in(token_chars, rest_[n])) ++n;
  const auto found = rest_.substr(0, n);
  rest_.remove_prefix(n);
  return found;
}

std::string_view field_scanner::until(std::string_view ends) noexcept {
  const auto found = rest_.substr(0, rest_.find_first_of(ends));
  rest_.remove_prefix(found.size());
  return without_blanks(found);
}

bool field_scanner::quoted(std::string& out) {
  const auto open = rest_.find_first_not_of(" \t");
  if (open == std::string_view::npos || rest_[open] != '"') return false;
  std::string text;
  for (std::size_t i = open + 1; i < rest_.size(); ++i) {
    char c = rest_[i];
    if (c == '"') {
      rest_.remove_prefix(i + 1);
      out = std::move(text);
      return true;
    }
    if (c == '\\' && i + 1 < rest_.size()) {
      const char next = rest_[i + 1];
      if (how_ == dialect::strict || next == '"' || next == '\\') {
        c = next;
        ++i;
      }
    }
    text += c;
  }
  return false;
}

bool field_scanner::value(std::string& out) {
  if (quoted(out)) return true;
  skip_blanks();
  if (how_ == dialect::uploads) {
    out = until(";");
    return true;
  }
  const auto found = token();
  out = found;
  return !found.empty();
}

bool read_parameters(field_scanner& from, text_pairs& out) {
  for (;;) {
    const field_scanner before = from;
    if (!from.take(';')) return true;
    const auto name = from.token();
    if (name.empty()) {  // "; ;" and a last ";"
      from.skip_blanks();
      if (from.at_end() || from.rest().front() == ';' || from.rest().front() == ',') continue;
      from = before;
      return false;
    }
    std::string value;
    if (!from.take('=') || !from.value(value)) {
      from = before;
      return false;
    }
    out.emplace_back(lower_case(name), std::move(value));
  }
}

const std::string* find_parameter(const text_pairs& in, std::string_view name) noexcept {
  const auto found = std::ranges::find(in, name, &std::pair<std::string, std::string>::first);
  return found == in.end() ? nullptr : &found->second;
}

std::string quoted_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out += '"';
}

std::string token_or_quoted(std::string_view text) {
  return is_token_text(text) ? std::string(text) : quoted_text(text);
}

}  // namespace heddle::http::detail
