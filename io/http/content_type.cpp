// SPDX-License-Identifier: MIT
#include <heddle/io/http/content_type.h>

#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>

#include <array>
#include <cstddef>

namespace heddle::http {
namespace {

constexpr char32_t replacement = 0xfffd;

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&out](char32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | c >> 6U);
  } else {
    if (c < 0x10000) {
      put(0xe0 | c >> 12U);
    } else {
      put(0xf0 | c >> 18U);
      put(0x80 | (c >> 12U & 0x3f));
    }
    put(0x80 | (c >> 6U & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

class converter {
 public:
  explicit converter(invalid_bytes how) noexcept : how_(how) {}

  /// Something that the charset does not have stands at byte `at`.
  void invalid(std::string& out, std::size_t at, const char* charset) const {
    if (how_ == invalid_bytes::refuse) {
      throw payload_error("byte " + std::to_string(at) + " of the text is no " +
                          std::string(charset));
    }
    append_utf8(out, replacement);
  }

 private:
  invalid_bytes how_;
};

/// How many bytes of `text` from `at` on are one character. 0: they are none, and `bad` of them are
/// replaced by one U+FFFD (Unicode, 3.9: the longest part that could have begun a character).
std::size_t utf8_length(std::string_view text, std::size_t at, std::size_t& bad) noexcept {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const unsigned first = byte(0);
  bad = 1;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  // The second byte rules out long forms, surrogates, and what is beyond U+10FFFF.
  const unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < least || byte(1) > most) return 0;
  for (bad = 2; bad < n; ++bad)
    if (byte(bad) < 0x80 || byte(bad) > 0xbf) return 0;
  return n;
}

std::string from_utf8(std::string_view text, const converter& by) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    std::size_t bad = 0;
    const auto n = utf8_length(text, at, bad);
    if (n != 0)
      out.append(text.substr(at, n));
    else
      by.invalid(out, at, "UTF-8");
    at += n != 0 ? n : bad;
  }
  return out;
}

/// What windows-1252 has from 0x80 to 0x9f; 0: nothing.
constexpr std::array<char16_t, 32> windows_marks = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

enum class single : std::uint8_t { ascii, latin_1, windows };

std::string from_single_bytes(std::string_view bytes, single set, const converter& by) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char32_t byte = static_cast<unsigned char>(bytes[at]);
    if (byte < 0x80 || (set == single::latin_1) || (set == single::windows && byte >= 0xa0)) {
      append_utf8(out, byte);
    } else if (const char32_t mark = set == single::windows ? windows_marks[byte - 0x80] : 0) {
      append_utf8(out, mark);
    } else {
      by.invalid(out, at, set == single::ascii ? "ASCII" : "windows-1252");
    }
  }
  return out;
}

std::string from_utf16(std::string_view bytes, bool big, const converter& by) {
  std::string out;
  const auto unit = [&](std::size_t at) -> char32_t {
    const char32_t a = static_cast<unsigned char>(bytes[at]);
    const char32_t b = static_cast<unsigned char>(bytes[at + 1]);
    return big ? a << 8U | b : b << 8U | a;
  };
  std::size_t at = 0;
  for (; at + 1 < bytes.size(); at += 2) {
    const char32_t c = unit(at);
    const bool high = c >= 0xd800 && c < 0xdc00;
    const char32_t next = high && at + 3 < bytes.size() ? unit(at + 2) : 0;
    if (next >= 0xdc00 && next < 0xe000) {
      append_utf8(out, 0x10000 + ((c - 0xd800) << 10U) + (next - 0xdc00));
      at += 2;
    } else if (c >= 0xd800 && c < 0xe000) {
      by.invalid(out, at, "UTF-16");
    } else {
      append_utf8(out, c);
    }
  }
  if (at < bytes.size()) by.invalid(out, at, "UTF-16");
  return out;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) noexcept {
  for (const auto n : names)
    if (same_token(name, n)) return true;
  return false;
}

}  // namespace

std::optional<content_type> content_type::parse(std::string_view text) {
  detail::field_scanner from(text);
  content_type found;
  const auto major = from.token();
  if (major.empty() || !from.take('/')) return std::nullopt;
  const auto minor = from.token();
  if (minor.empty()) return std::nullopt;
  found.type = detail::lower_case(major) + "/" + detail::lower_case(minor);
  (void)detail::read_parameters(from, found.parameters);
  return found;
}

const std::string* content_type::find(std::string_view name) const noexcept {
  return detail::find_parameter(parameters, name);
}

std::string_view content_type::charset() const noexcept {
  const std::string* const found = find("charset");
  return found ? std::string_view(*found) : std::string_view();
}

bool content_type::is_json() const noexcept {
  return type == "application/json" || type.ends_with("+json");
}

std::string content_type::text() const {
  std::string out = type;
  for (const auto& [name, value] : parameters)
    out += "; " + name + "=" + detail::token_or_quoted(value);
  return out;
}

std::string to_utf8(std::string_view bytes, std::string_view charset) {
  return to_utf8(bytes, charset, invalid_bytes::refuse);
}

std::string to_utf8(std::string_view bytes, std::string_view charset, invalid_bytes how) {
  const converter by(how);
  if (bytes.starts_with("\xef\xbb\xbf")) return from_utf8(bytes.substr(3), by);
  const bool named_16 = is_one_of(charset, {"utf-16", "utf-16le", "utf-16be"});
  if (named_16 || charset.empty()) {  // no UTF-8 begins like such a mark
    if (bytes.starts_with("\xfe\xff")) return from_utf16(bytes.substr(2), true, by);
    if (bytes.starts_with("\xff\xfe")) return from_utf16(bytes.substr(2), false, by);
  }
  if (named_16) return from_utf16(bytes, same_token(charset, "utf-16be"), by);
  if (is_one_of(charset, {"iso-8859-1", "latin-1", "latin1", "iso8859-1", "iso_8859-1", "l1"}))
    return from_single_bytes(bytes, single::latin_1, by);
  if (is_one_of(charset, {"windows-1252", "cp1252"}))
    return from_single_bytes(bytes, single::windows, by);
  if (is_one_of(charset, {"us-ascii", "ascii"})) return from_single_bytes(bytes, single::ascii, by);
  return from_utf8(bytes, by);
}

}  // namespace heddle::http
