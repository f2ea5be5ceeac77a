// SPDX-License-Identifier: MIT
#include <heddle/io/http/message.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/url.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace heddle::http {
namespace {

// What a string keeps when it is cleared: one large message must not make every later request on
// the thread pay for it.
constexpr std::size_t keep_at_most = 16 * 1024;

void clear_but_keep(std::string& s) noexcept {
  s.clear();
  if (s.capacity() > keep_at_most) s.shrink_to_fit();
}

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

constexpr std::array<bool, 256> token_chars = [] {
  std::array<bool, 256> t{};
  for (int c = '0'; c <= '9'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) t[static_cast<unsigned char>(c)] = true;
  return t;
}();

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return token_chars[static_cast<unsigned char>(c)];
  });
}

bool is_field_value(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= ' ' && byte != 0x7f) || c == '\t';
  });
}

std::string_view trimmed(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

void check_field(std::string_view name, std::string_view value) {
  if (!is_token(name)) {
    throw bad_value("header name \"" + std::string(name) + "\" is not a token");
  }
  if (!is_field_value(value)) {
    throw bad_value("value of header " + std::string(name) +
                    " holds a control character (CR, LF, NUL ...)");
  }
}

constexpr std::array<std::string_view, 9> method_names = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"};

/// The characters that end the plain part of a path.
constexpr std::array<bool, 256> path_marks = [] {
  std::array<bool, 256> t{};
  t['?'] = t['#'] = t['%'] = true;
  return t;
}();

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// As percent_decode, but "%2F" stays. If it were decoded, "/a%2Fb" would reach what is meant for
/// "/a/b", past a route that guards "/a/".
bool decode_path(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return false;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    const auto byte = static_cast<char>(high * 16 + low);
    if (byte == '/')
      out += "%2F";
    else
      out += byte;
    i += 2;
  }
  return true;
}

response with_type(std::string&& body, int status, media_type type) {
  return {
      .status = status, .headers = {}, .body = std::move(body), .content_type = type, .stream = {}};
}

}  // namespace

bool same_token(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return x == y || lower(x) == lower(y);
         });
}

std::optional<std::string_view> headers::get(std::string_view name) const noexcept {
  for (const auto f : *this) {
    if (same_token(f.name, name)) return f.value;
  }
  return std::nullopt;
}

std::vector<std::string_view> headers::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto f : *this) {
    if (same_token(f.name, name)) values.push_back(f.value);
  }
  return values;
}

bool headers::contains(std::string_view name) const noexcept { return get(name).has_value(); }

bool headers::has_token(std::string_view name, std::string_view token) const noexcept {
  for (const auto f : *this) {
    if (!same_token(f.name, name)) continue;
    for (auto rest = f.value; !rest.empty();) {
      const auto item = rest.substr(0, rest.find(','));
      if (same_token(trimmed(item), token)) return true;
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    }
  }
  return false;
}

void headers::add(std::string_view name, std::string_view value) {
  check_field(name, value);
  append(name, trimmed(value));
}

void headers::set(std::string_view name, std::string_view value) {
  check_field(name, value);
  const auto first =
      std::ranges::find_if(places_, [&](const place& p) { return same_token(name_of(p), name); });
  const auto at = static_cast<std::size_t>(first - places_.begin());
  append(name, trimmed(value));  // first, for the arguments may be views into this text
  const place fresh = places_.back();
  if (at + 1 == places_.size()) return;
  places_.pop_back();
  places_[at] = fresh;
  const auto later = places_.begin() + static_cast<std::ptrdiff_t>(at) + 1;
  places_.erase(
      std::remove_if(later, places_.end(),
                     [&](const place& p) { return same_token(name_of(p), name_of(fresh)); }),
      places_.end());
}

std::size_t headers::remove(std::string_view name) noexcept {
  return std::erase_if(places_, [&](const place& p) { return same_token(name_of(p), name); });
}

void headers::clear() noexcept {
  clear_but_keep(text_);
  places_.clear();
}

void headers::append(std::string_view name, std::string_view value) {
  const std::size_t needed = text_.size() + name.size() + value.size();
  if (needed > UINT32_MAX) throw std::length_error("more than 4 GiB of headers");
  const auto at = heddle::detail::narrow<std::uint32_t>(text_.size());
  const auto name_size = heddle::detail::narrow<std::uint32_t>(name.size());
  const place added{at, name_size, at + name_size,
                    heddle::detail::narrow<std::uint32_t>(value.size())};
  if (needed <= text_.capacity()) {
    places_.push_back(added);
    text_.append(name).append(value);
    return;
  }
  // The arguments may be views into text_. So the old text lives until both are copied.
  std::string grown;
  grown.reserve(std::max(needed, 2 * text_.capacity()));
  grown.append(text_).append(name).append(value);
  places_.push_back(added);
  text_.swap(grown);
}

method::method(std::string_view text) {
  const auto found = std::ranges::find(method_names, text);
  known_ = static_cast<known>(found - method_names.begin());
  if (known_ != other) return;
  if (!is_token(text)) {
    throw bad_value("request method \"" + std::string(text) + "\" is not a token");
  }
  text_ = text;
}

std::string_view method::text() const noexcept {
  return known_ == other ? std::string_view(text_) : method_names[known_];
}

std::string_view request::target_authority() const noexcept {
  const std::string_view all = target;
  if (all.starts_with('/')) return {};
  const auto scheme = all.find("://");
  if (scheme == std::string_view::npos || all.find_first_of("/?#") < scheme) return {};
  const auto rest = all.substr(scheme + 3);
  return rest.substr(0, rest.find_first_of("/?#"));
}

std::string_view request::raw_query() const noexcept {
  const auto mark = target.find('?');
  return mark == std::string::npos ? std::string_view{} : std::string_view(target).substr(mark + 1);
}

std::optional<std::string> request::query(std::string_view name) const {
  return query_value(raw_query(), name);
}

std::vector<std::pair<std::string, std::string>> request::query_params() const {
  return query_pairs(raw_query());
}

bool request::decode_target() {
  std::string_view rest = target;
  if (!rest.starts_with('/')) {
    if (method == method::connect) {  // authority form: there is no path
      path.assign(rest);
      return !rest.empty() && rest.find_first_of("/?#") == std::string_view::npos;
    }
    if (rest == "*") {
      path.assign(rest);
      return method == method::options;
    }
    // The absolute form: a proxy is sent it, and every server must take it.
    const auto authority = rest.find("://");
    if (authority == std::string_view::npos) return false;
    rest.remove_prefix(authority + 3);
    const auto end = std::min(rest.find_first_of("/?#"), rest.size());
    if (end == 0 || rest.substr(0, end).find('@') != std::string_view::npos) return false;
    rest.remove_prefix(end);
    if (!rest.starts_with('/')) {
      path = "/";
      return rest.find('#') == std::string_view::npos;
    }
  }
  const char* const first = rest.data();
  const char* const last = first + rest.size();
  const char* p = first;
  while (p != last && !path_marks[static_cast<unsigned char>(*p)]) ++p;
  const bool plain = p == last || *p == '?';
  while (p != last && *p != '?' && *p != '#') ++p;
  // No form of a target has a fragment.
  if (p != last && std::memchr(p, '#', static_cast<std::size_t>(last - p)) != nullptr) return false;
  rest = rest.substr(0, static_cast<std::size_t>(p - first));
  if (plain) {
    path.assign(rest);
    return true;
  }
  return decode_path(rest, path) && path.find('\0') == std::string::npos;
}

void request::clear() noexcept {
  method = method::get;
  clear_but_keep(target);
  clear_but_keep(path);
  version = version::http_1_1;
  headers.clear();
  clear_but_keep(body);
  keep_alive = true;
}

response response::text(std::string body, int status) {
  return with_type(std::move(body), status, "text/plain; charset=utf-8");
}

response response::json(std::string body, int status) {
  return with_type(std::move(body), status, "application/json");
}

response response::html(std::string body, int status) {
  return with_type(std::move(body), status, "text/html; charset=utf-8");
}

response response::error(int status, std::string_view detail) {
  std::string body = std::to_string(status);
  body.append(" ").append(reason_phrase(status));
  if (!detail.empty()) body.append(": ").append(detail);
  body += '\n';
  return text(std::move(body), status);
}

void response::clear() noexcept {
  status = 200;
  headers.clear();
  clear_but_keep(body);
  content_type = {};
  if (stream) stream = {};
}

std::string printable(std::string_view text) {
  constexpr std::size_t most = 200;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : text.substr(0, most)) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.append("\\x").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
  }
  if (text.size() > most) out += "...";
  return out;
}

std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

}  // namespace heddle::http
