// SPDX-License-Identifier: MIT
#include <heddle/io/http/url.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <algorithm>

namespace heddle::http {
namespace {

constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr bool is_alnum(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

bool is_unreserved(char c) noexcept {
  return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/// What an error may show of a URL. Everything up to the last "@" may be a name and a password,
/// whatever else is wrong with the text.
std::string without_password(std::string_view text) {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos) return std::string(text);
  const auto scheme = lowered(text.substr(0, text.find("://")));
  const auto keep = scheme == "http" || scheme == "https" ? scheme.size() + 3 : 0;
  return std::string(text.substr(0, keep)) + "***" + std::string(text.substr(at));
}

[[noreturn]] void refuse_url(std::string_view text, std::string_view why) {
  throw bad_value("not a usable URL: \"" + without_password(text) + "\": " + std::string(why));
}

std::uint16_t parse_port(std::string_view digits, std::string_view whole) {
  std::uint16_t value = 0;
  if (!heddle::detail::parse_number(digits, value) || value == 0) {
    refuse_url(whole, "the port must be a number from 1 to 65535");
  }
  return value;
}

/// True for what a system's resolver may take for an address of IPv4 although it has not four
/// decimal numbers: the last label is a number, also one in base 16 or 8.
bool is_odd_address(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const auto last = host.substr(host.rfind('.') + 1);
  const bool hex = last.starts_with("0x") || last.starts_with("0X");
  const auto digits = last.substr(hex ? 2 : 0);
  const auto is_digit = [hex](char c) { return hex ? hex_value(c) >= 0 : c >= '0' && c <= '9'; };
  if (last.empty() || !std::ranges::all_of(digits, is_digit)) return false;
  unsigned labels = 0;
  for (auto rest = host; !rest.empty(); ++labels) {
    const auto label = rest.substr(0, rest.find('.'));
    rest.remove_prefix(std::min(rest.size(), label.size() + 1));
    unsigned value = 0;
    const bool padded = label.size() > 1 && label.front() == '0';
    if (padded || !heddle::detail::parse_number(label, value) || value > 255) return true;
  }
  return labels != 4;
}

/// Calls f(name, value), both still encoded, until it returns false.
template <class F>
void each_pair(std::string_view query, F f) {
  while (!query.empty()) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const auto eq = pair.find('=');
    const auto value = eq == std::string_view::npos ? std::string_view{} : pair.substr(eq + 1);
    if (!f(pair.substr(0, eq), value)) return;
  }
}

}  // namespace

url url::parse(std::string_view text) {
  url u;
  const auto scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) refuse_url(text, "it must begin with http://");
  u.scheme = lowered(text.substr(0, scheme_end));
  if (u.scheme == "http")
    u.port = 80;
  else if (u.scheme == "https")
    u.port = 443;
  else
    refuse_url(text, "only http and https are known");

  // A control character or a space would end the request line early, and smuggle in a second
  // request.
  const auto bad = std::ranges::find_if(text, [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f;
  });
  if (bad != text.end()) refuse_url(text, "spaces, controls and non-ASCII must be percent-encoded");

  auto rest = text.substr(scheme_end + 3);
  rest = rest.substr(0, rest.find('#'));
  const auto authority = rest.substr(0, rest.find_first_of("/?"));
  rest.remove_prefix(authority.size());
  if (authority.find('@') != std::string_view::npos)
    refuse_url(text, "user names are not taken from URLs");

  auto host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == std::string_view::npos)
      refuse_url(text, "the bracket of the IPv6 address is not closed");
    host = authority.substr(1, close - 1);
    if (host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) {
      refuse_url(text, "brackets are for IPv6 addresses");
    }
    const auto after = authority.substr(close + 1);
    if (!after.empty() && after.front() != ':')
      refuse_url(text, "only a port may follow the bracket");
    if (!after.empty()) port = after.substr(1);
  } else if (const auto colon = authority.find(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  if (host.empty()) refuse_url(text, "the host is missing");
  if (!authority.starts_with('[') &&
      !std::ranges::all_of(host, [](char c) { return is_unreserved(c); })) {
    refuse_url(text, "the host holds a character that no host name has");
  }
  if (!authority.starts_with('[') && is_odd_address(host))
    refuse_url(text, "an IPv4 address is four decimal numbers");
  if (!port.empty()) u.port = parse_port(port, text);
  u.host = lowered(host);
  u.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  return u;
}

std::string url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  const std::uint16_t usual = scheme == "https" ? 443 : 80;
  if (port != usual) out += ":" + std::to_string(port);
  return out;
}

std::string percent_encode(std::string_view text, encode_for what) {
  constexpr std::string_view path_chars = "/!$&'()*+,;=:@";
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c) || (what == encode_for::path && path_chars.find(c) != path_chars.npos)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

bool percent_decode(std::string_view text, std::string& out, bool plus_is_space) {
  if (text.find_first_of(plus_is_space ? "%+" : "%") == std::string_view::npos) {
    out.assign(text);
    return true;
  }
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (text.size() - i < 3) return false;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return true;
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  std::optional<std::string> found;
  std::string decoded;
  each_pair(query, [&](std::string_view raw_name, std::string_view raw_value) {
    if (!percent_decode(raw_name, decoded, true) || decoded != name) return true;
    if (!percent_decode(raw_value, decoded, true)) return true;
    found = std::move(decoded);
    return false;
  });
  return found;
}

std::vector<std::pair<std::string, std::string>> query_pairs(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  each_pair(query, [&](std::string_view raw_name, std::string_view raw_value) {
    std::string name, value;
    if (percent_decode(raw_name, name, true) && percent_decode(raw_value, value, true)) {
      pairs.emplace_back(std::move(name), std::move(value));
    }
    return true;
  });
  return pairs;
}

}  // namespace heddle::http
