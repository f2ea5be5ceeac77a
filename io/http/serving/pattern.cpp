// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/pattern.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/url.h>

#include <algorithm>
#include <cstdint>
#include <regex>

namespace heddle::http::detail {
namespace {

// A segment with several parameters may be split in many ways, and a client chooses its text. So
// many splits are tried. Then the segment does not match.
constexpr unsigned most_splits = 1000;

// A longer text matches no expression: std::regex goes one call deeper with each character.
constexpr std::size_t most_for_expressions = 1024;

[[noreturn]] void refuse(const std::string& whole, const char* why) {
  throw bad_value("the pattern \"" + whole + "\": " + why);
}

bool is_int(std::string_view text) noexcept {
  if (text.starts_with('-')) text.remove_prefix(1);
  std::int64_t value = 0;
  return heddle::detail::parse_number(text, value);
}

bool is_name(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

/// Where the brace that opens at `open` is closed. Braces within (of an expression) are counted.
std::size_t closing_brace(std::string_view text, std::size_t open, const std::string& whole) {
  unsigned depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
      continue;
    }
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) return i;
  }
  refuse(whole, "a brace is not closed");
}

/// Splits at the slashes that stand outside of braces.
std::vector<std::string_view> split(const std::string& text) {
  std::vector<std::string_view> all;
  std::size_t from = 1;
  for (std::size_t i = 1; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == '/') {
      all.push_back(std::string_view(text).substr(from, i - from));
      from = i + 1;
    } else if (text[i] == '{') {
      i = closing_brace(text, i, text);
    }
  }
  return all;
}

}  // namespace

struct constraint::compiled {
  std::regex expression;
};

constraint::constraint(const std::string& text, const std::string& whole) : text_(text) {
  if (text == "int") return;
  if (text.empty()) refuse(whole, "the expression behind \":\" is empty");
  try {
    expression_ = std::make_shared<const compiled>(
        compiled{std::regex(text, std::regex::ECMAScript | std::regex::optimize)});
  } catch (const std::regex_error& e) {
    throw bad_value("the pattern \"" + whole + "\": \"" + text +
                    "\" is no regular expression: " + e.what());
  }
}

bool constraint::takes(std::string_view text) const {
  if (text_.empty()) return true;
  if (!expression_) return is_int(text);
  if (text.size() > most_for_expressions) return false;
  try {
    return std::regex_match(text.begin(), text.end(), expression_->expression);
  } catch (const std::regex_error&) {  // too complex for this text
    return false;
  }
}

segment::segment(std::string_view text, const std::string& whole) {
  while (!text.empty()) {
    const auto brace = text.find_first_of("{}");
    if (brace == std::string_view::npos) break;
    if (text[brace] == '}') refuse(whole, "a brace is closed that was not opened");
    const auto end = closing_brace(text, brace, whole);
    auto inside = text.substr(brace + 1, end - brace - 1);
    part p;
    p.before = text.substr(0, brace);
    if (p.before.empty() && !parts_.empty())
      refuse(whole, "text must stand between two parameters of a segment");
    const auto colon = inside.find(':');
    std::string_view name = inside.substr(0, colon);
    if (colon != std::string_view::npos)
      p.what = constraint(std::string(inside.substr(colon + 1)), whole);
    if (name.ends_with('*')) {
      name.remove_suffix(1);
      is_rest_ = true;
      if (!p.before.empty() || end + 1 != text.size() || colon != std::string_view::npos)
        refuse(whole, "{name*} is a whole segment, and has no \":\"");
    }
    if (!is_name(name)) refuse(whole, "a name is made of letters, digits, \"_\" and \"-\"");
    p.name = name;
    parts_.push_back(std::move(p));
    text.remove_prefix(end + 1);
  }
  text_ = text;
}

bool segment::match(std::string_view decoded, std::vector<std::string>& values) const {
  if (parts_.empty()) return decoded == text_;
  unsigned steps = 0;
  const auto before = values.size();
  if (match_from(0, decoded, values, steps)) return true;
  values.resize(before);
  return false;
}

/// Tries the longest text for each parameter first. So the last separator splits.
bool segment::match_from(std::size_t first, std::string_view rest, std::vector<std::string>& values,
                         unsigned& steps) const {
  if (++steps > most_splits) return false;
  if (first == parts_.size()) return rest == text_;
  const auto& p = parts_[first];
  if (!rest.starts_with(p.before)) return false;
  rest.remove_prefix(p.before.size());
  const bool last = first + 1 == parts_.size();
  const std::string& next = last ? text_ : parts_[first + 1].before;
  std::size_t end = rest.size();
  while (end > 0) {
    if (last) {
      if (!rest.ends_with(next)) return false;
      end = rest.size() - next.size();
    } else {
      end = rest.rfind(next, end - 1);
      if (end == std::string_view::npos) return false;
    }
    if (end == 0) return false;
    if (p.what.takes(rest.substr(0, end))) {
      const auto before = values.size();
      values.emplace_back(rest.substr(0, end));
      if (match_from(first + 1, rest.substr(end), values, steps)) return true;
      values.resize(before);
    }
    if (last || ++steps > most_splits) return false;
  }
  return false;
}

std::string segment::shape() const {
  if (is_rest_) return "{*}";
  std::string all;
  for (const auto& p : parts_) all += p.before + "{:" + p.what.text() + "}";
  return all + text_;
}

pattern::pattern(std::string text) : text_(std::move(text)) {
  if (!text_.starts_with('/')) refuse(text_, "the path of a route begins with \"/\"");
  for (const auto piece : split(text_)) {
    if (!segments_.empty() && segments_.back().is_rest())
      refuse(text_, "nothing stands behind {name*}");
    const auto& added = segments_.emplace_back(piece, text_);
    for (const auto& p : added.parts()) {
      if (std::ranges::find(names_, p.name) != names_.end())
        refuse(text_, "a name stands in it twice");
      names_.push_back(p.name);
    }
  }
}

std::string pattern::shape() const {
  std::string all;
  for (const auto& s : segments_) all += "/" + s.shape();
  return all;
}

std::string pattern::fill(const std::vector<std::string>& values) const {
  if (values.size() != names_.size()) {
    throw bad_value("the pattern \"" + text_ + "\" takes " + std::to_string(names_.size()) +
                    " values, and not " + std::to_string(values.size()));
  }
  std::string path;
  std::size_t next = 0;
  for (const auto& s : segments_) {
    path += '/';
    for (const auto& p : s.parts()) {
      const std::string& value = values[next++];
      if ((value.empty() && !s.is_rest()) || !p.what.takes(value))
        throw bad_value("the pattern \"" + text_ + "\" does not take \"" + value + "\" for " +
                        p.name);
      path += percent_encode(p.before, encode_for::path);
      path += percent_encode(value, s.is_rest() ? encode_for::path : encode_for::component);
    }
    path += percent_encode(s.text(), encode_for::path);
  }
  return path;
}

}  // namespace heddle::http::detail
