// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/head.h>

#include <heddle/io/http/message/grammar.h>
#include <heddle/io/http/message/llhttp_glue.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace heddle::http::detail {
namespace {

using phase = parser_state::phase;

/// Takes off the white space behind the values, and finds the fields that matter here.
void accept_fields(parser_state& s) noexcept {
  for (auto& place : s.places()) {
    const auto value = s.value_of(place);
    while (place.value_size > 0 &&
           (value[place.value_size - 1] == ' ' || value[place.value_size - 1] == '\t')) {
      --place.value_size;
    }
    const auto name = s.name_of(place);
    if (name.size() == 4 && same_token(name, "host")) {
      ++s.hosts_;
      s.host_ = s.value_of(place);
    } else if (name.size() == 17 && same_token(name, "transfer-encoding")) {
      ++s.codings_;
    }
  }
}

/// The requests of a connection nearly always name the same host. So the last one that was found
/// well-formed is compared before the grammar is asked.
bool accept_host(parser_state& s) noexcept {
  if (s.host_ == std::string_view(s.good_host_.data(), s.good_host_size_)) return true;
  if (!is_host(s.host_)) return false;
  if (s.host_.size() <= s.good_host_.size()) {
    std::ranges::copy(s.host_, s.good_host_.begin());
    s.good_host_size_ = s.host_.size();
  }
  return true;
}

/// RFC 9112, 3.2.2: if the target names a host, that host counts and replaces the Host field.
bool accept_target(parser_state& s) {
  const auto& r = *s.request_;
  if (r.method == method::connect) return r.target.find(':') != 0 && is_host(r.target);
  auto authority = r.target_authority();
  if (authority.empty()) return true;  // "*"
  if (authority.starts_with(':') || !is_host(authority)) return false;
  const bool tls = same_token(std::string_view(r.target).substr(0, r.target.find(':')), "https");
  const auto port = authority.rfind(':');
  if (port != std::string_view::npos && authority.back() != ']') {
    const auto number = authority.substr(port + 1);
    if (number.empty() || number == (tls ? "443" : "80")) authority = authority.substr(0, port);
  }
  s.headers_->set("Host", authority);
  return true;
}

bool accept_request_head(parser_state& s) {
  const auto& p = llhttp_of(s);
  auto& r = *s.request_;
  if (p.http_major != 1) {
    return p.http_major == 0 ? s.refuse(400, "HTTP/0.9 is not spoken here")
                             : s.refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  }
  r.version = p.http_minor == 0 ? version::http_1_0 : version::http_1_1;
  if (s.hosts_ > 1) return s.refuse(400, "more than one Host field");
  if (s.hosts_ == 0 && r.version == version::http_1_1)
    return s.refuse(400, "the Host field is missing");
  if (s.hosts_ == 1 && !accept_host(s)) return s.refuse(400, "the Host field is malformed");
  if (s.codings_ > 0) {
    if (r.version == version::http_1_0) return s.refuse(400, "Transfer-Encoding in HTTP/1.0");
    if (!(p.flags & F_CHUNKED)) return s.refuse(400, "the transfer coding must end with chunked");
    for (const auto field : *s.headers_) {
      if (same_token(field.name, "transfer-encoding") && !same_token(field.value, "chunked")) {
        return s.refuse(501, "no transfer coding is known but chunked");
      }
    }
  }
  const bool plain = r.target.starts_with('/') && r.method.kind() != method::connect;
  if (!r.decode_target() || (!plain && !accept_target(s)))
    return s.refuse(400, "the request target is malformed");
  const bool close = (p.flags & F_CONNECTION_CLOSE) != 0;
  r.keep_alive = !close && (r.version == version::http_1_1 || (p.flags & F_CONNECTION_KEEP_ALIVE));
  return true;
}

/// Replaces the line ends inside of folded values by spaces. If a field is folded that frames the
/// body, the message is refused: llhttp may have read another number or coding from it than others
/// would.
bool unfold_fields(parser_state& s) noexcept {
  for (const auto& place : s.places()) {
    const auto value = std::span(s.head_text()).subspan(place.value_at, place.value_size);
    if (std::ranges::find(value, '\n') == value.end()) continue;
    const auto name = s.name_of(place);
    if (same_token(name, "content-length") || same_token(name, "transfer-encoding"))
      return s.refuse(400, "a folded field tells where the body ends");
    for (char& c : value)
      if (c == '\r' || c == '\n') c = ' ';
  }
  return true;
}

/// To llhttp "20" and "0200" are numbers, too. Of "HTTP/1.1  200" it takes "200" for the reason.
bool has_three_digits(std::string_view status_line) noexcept {
  constexpr auto before = std::string_view("HTTP/1.1 ").size();
  return status_line.find_first_not_of("0123456789", before) == before + 3;
}

/// True if the transfer codings are: chunked, once.
bool only_chunked(parser_state& s) noexcept {
  unsigned found = 0;
  for (const auto field : *s.headers_) {
    if (!same_token(field.name, "transfer-encoding")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      auto coding = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), coding.size() + 1));
      while (!coding.empty() && (coding.front() == ' ' || coding.front() == '\t'))
        coding.remove_prefix(1);
      while (!coding.empty() && (coding.back() == ' ' || coding.back() == '\t'))
        coding.remove_suffix(1);
      if (coding.empty()) continue;  // RFC 9110, 5.6.1: empty elements of a list are no elements
      if (!same_token(coding, "chunked")) return false;
      ++found;
    }
  }
  return found == 1;
}

/// What a client that asks for it does not take. The start line and the fields were accepted.
bool accept_strictly(parser_state& s) noexcept {
  if (s.folded_) return s.refuse(400, "folded header fields are not accepted");
  // "HTTP/1.1 200 OK": llhttp has seen to the version and to three digits.
  const std::string_view line = s.head_text();
  if (line.size() < 14 || line[8] != ' ' || line[9] == ' ' || line[13] == ' ')
    return s.refuse(400, "the status line is not: version, one space, status, one space, reason");
  unsigned types = 0;
  for (const auto& place : s.places()) types += same_token(s.name_of(place), "content-type");
  return types < 2 || s.refuse(400, "more than one Content-Type field");
}

bool accept_response_head(parser_state& s) noexcept {
  const auto& p = llhttp_of(s);
  if (p.http_major != 1) return s.refuse(505, "the server speaks another version of HTTP");
  if (p.status_code < 100 || !has_three_digits(s.head_text()))
    return s.refuse(400, "the status code has not three digits");
  if (s.codings_ > 0 && s.has_body_ && !((p.flags & F_CHUNKED) && only_chunked(s)))
    return s.refuse(501, "no transfer coding is known but chunked");
  if (s.tolerance_ == tolerance::strict && !accept_strictly(s)) return false;
  s.response_->status = p.status_code;
  s.until_close_ = s.has_body_ && llhttp_message_needs_eof(&p);
  // llhttp reads a folded field piece by piece, and chunks are no framing in HTTP/1.0. Behind such
  // an answer the connection is not used again.
  const bool odd = s.folded_ || s.bare_lf_ || (s.codings_ > 0 && p.http_minor == 0);
  s.keep_alive_ = !s.until_close_ && !odd && p.status_code != 101 &&
                  !(p.flags & F_CONNECTION_CLOSE) &&
                  (p.http_minor == 1 || (p.flags & F_CONNECTION_KEEP_ALIVE));
  return true;
}

}  // namespace

void check_lines(parser_state& s, std::string_view bytes) noexcept {
  if (s.protocol_at_ != 0 && !s.protocol_seen_) {
    const auto i = s.protocol_at_ - s.head_bytes_;
    if (s.protocol_at_ < s.head_bytes_ || (i < bytes.size() && bytes[i] != 'H')) {
      s.refuse(400, odd_request_line);
      return;
    }
    s.protocol_seen_ = i < bytes.size();
  }
  const char* const end = bytes.data() + bytes.size();
  char last = s.last_;
  for (const char* p = bytes.data(); p != end;) {
    if (last == '\n' && (*p == ' ' || *p == '\t')) {
      if (!s.response_ || s.lines_ < 2) {  // a client must accept them behind a field
        s.refuse(400, "folded header fields are not accepted");
        return;
      }
      s.folded_ = true;
    }
    const auto* lf =
        static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
    if (lf == nullptr) {
      s.last_ = end[-1];
      return;
    }
    if ((lf == p ? last : lf[-1]) != '\r') {
      s.refuse(400, "a line ends without CR");
      return;
    }
    if (s.request_ && s.protocol_at_ == 0) {
      s.refuse(400, "HTTP/0.9 is not spoken here");
      return;
    }
    last = '\n';
    ++s.lines_;
    p = lf + 1;
  }
  s.last_ = last;
}

void accept_head(parser_state& s) {
  const auto& p = llhttp_of(s);
  if (s.folded_ && !unfold_fields(s)) return;
  accept_fields(s);
  if (s.request_ ? !accept_request_head(s) : !accept_response_head(s)) return;
  if ((p.flags & F_CONTENT_LENGTH) && s.has_body_ && p.content_length > s.limits_.body_bytes) {
    s.refuse(413, "the body is too large");
    return;
  }
  s.phase_ = s.has_body_ ? phase::body : phase::done;
}

}  // namespace heddle::http::detail
