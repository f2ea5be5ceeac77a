// SPDX-License-Identifier: MIT
#include <heddle/io/http/form.h>

#include <heddle/io/http/errors.h>
#include <heddle/io/http/message/grammar.h>
#include <heddle/io/http/url.h>

#include <algorithm>

namespace heddle::http {
namespace {

constexpr auto plain = detail::table_of("*-._");

void append_encoded(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (const char c : text) {
    if (detail::is_in(plain, c)) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += digits[byte >> 4U];
      out += digits[byte & 15U];
    }
  }
}

}  // namespace

std::optional<std::string_view> form::get(std::string_view name) const noexcept {
  const auto found = std::ranges::find(fields_, name, &field::first);
  if (found == fields_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string_view> form::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [n, v] : fields_)
    if (n == name) values.emplace_back(v);
  return values;
}

std::string form::text() const {
  std::string out;
  for (const auto& [name, value] : fields_) {
    if (!out.empty()) out += '&';
    append_encoded(out, name);
    out += '=';
    append_encoded(out, value);
  }
  return out;
}

form form::parse(std::string_view text) { return parse(text, default_most); }

form form::parse(std::string_view text, std::size_t most) {
  const auto count = static_cast<std::size_t>(std::ranges::count(text, '&')) + 1;
  if (!text.empty() && count > most) {
    throw payload_error(errc::body_too_large,
                        "the form has more than " + std::to_string(most) + " fields");
  }
  form f;
  f.fields_ = query_pairs(text);
  return f;
}

}  // namespace heddle::http
