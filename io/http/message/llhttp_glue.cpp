// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/llhttp_glue.h>

#include <heddle/core/checked.h>

#include <algorithm>
#include <cstdint>

namespace heddle::http::detail {
namespace {

using phase = parser_state::phase;

void name_usual_method(method& m, std::uint8_t number) {
  switch (number) {
    case HTTP_HEAD: m = method::head; return;
    case HTTP_POST: m = method::post; return;
    case HTTP_PUT: m = method::put; return;
    default: m = method::get;
  }
}

// llhttp calls the functions below from within run_llhttp(). A piece of a name, a target or a value
// may be all of it or not. So the pieces are only gathered, and what there is to judge is judged
// where llhttp says that something is complete. What depends on the whole head is judged in
// accept_head(), behind check_lines(). So the verdict does not depend on the cuts.

parser_state& state_of(llhttp_t* p) noexcept { return *static_cast<parser_state*>(p->data); }

/// Where in the head a byte of this piece stands.
std::size_t offset_of(const parser_state& s, const char* at) noexcept {
  return s.head_bytes_ + static_cast<std::size_t>(at - s.piece_);
}

std::uint32_t narrow(std::size_t n) noexcept { return heddle::detail::narrow<std::uint32_t>(n); }

int on_url(llhttp_t* p, const char* at, std::size_t n) {
  auto& s = state_of(p);
  if (s.request_->target.empty()) s.target_at_ = offset_of(s, at);
  s.request_->target.append(at, n);
  return 0;
}

int on_url_complete(llhttp_t* p) {
  auto& s = state_of(p);
  if (p->http_minor == 9) {  // llhttp's mark for a line without a version
    s.refuse(400, "HTTP/0.9 is not spoken here");
    return -1;
  }
  if (s.request_->target.size() > s.limits_.target_bytes) {
    s.refuse(414, "the request target is too long");
    return -1;
  }
  if (!s.method_named_) name_usual_method(s.request_->method, p->method);
  if (s.target_at_ != s.request_->method.text().size() + 1) {  // llhttp takes any number of spaces
    s.refuse(400, odd_request_line);
    return -1;
  }
  s.protocol_at_ = s.target_at_ + s.request_->target.size() + 1;
  return 0;
}

int on_header_field(llhttp_t* p, const char* at, std::size_t n) {
  auto& s = state_of(p);
  if (s.phase_ == phase::trailers) {  // trailers are dropped, but each must have a name
    s.in_field_ = s.in_field_ || n > 0;
    return 0;
  }
  auto& places = s.places();
  if (!s.in_field_) {
    s.in_field_ = true;
    places.push_back({narrow(offset_of(s, at)), 0, 0, 0});
  }
  places.back().name_size += narrow(n);
  return 0;
}

int on_header_value(llhttp_t* p, const char* at, std::size_t n) {
  auto& s = state_of(p);
  if (s.phase_ == phase::trailers || !s.in_field_) return 0;
  auto& place = s.places().back();
  const auto from = offset_of(s, at);
  if (place.value_at == 0) place.value_at = narrow(from);
  // The value lasts up to here: what lies between the pieces of a folded value belongs to it.
  place.value_size = narrow(from + n) - place.value_at;
  return 0;
}

int on_header_value_complete(llhttp_t* p) {
  auto& s = state_of(p);
  const auto& places = s.places();
  const bool in_trailers = s.phase_ == phase::trailers;
  if (!s.in_field_ || (!in_trailers && places.back().name_size == 0)) {
    s.refuse(400, "a header field without a name");
    return -1;
  }
  if (!in_trailers && places.size() > s.limits_.header_count) {
    s.refuse(431, "too many header fields");
    return -1;
  }
  s.in_field_ = false;
  return 0;
}

int on_headers_complete(llhttp_t* p) {
  auto& s = state_of(p);
  s.head_complete_ = true;
  p->upgrade = 0;  // an offer to switch protocols is declined: the message goes on as usual
  if (s.response_ && (s.to_head_ || status_has_no_body(p->status_code))) return 1;
  s.has_body_ = (p->flags & (F_CHUNKED | F_TRANSFER_ENCODING)) != 0 || p->content_length > 0 ||
                llhttp_message_needs_eof(p);
  // Without a body, on_message_complete() pauses at the same place.
  return s.has_body_ ? HPE_PAUSED : 0;
}

/// Makes room for `n` bytes, and for those that are told to follow. A string that doubles its room
/// would copy a body of 64 KiB twice. A sender that tells of many bytes and sends few gets room for
/// four times what it has sent.
void make_room(std::string& body, std::size_t n, std::uint64_t to_follow) {
  const std::size_t wanted = body.size() + n;
  if (wanted <= body.capacity()) return;
  body.reserve(wanted + static_cast<std::size_t>(std::min<std::uint64_t>(to_follow, 3 * wanted)));
}

int on_body(llhttp_t* p, const char* at, std::size_t n) {
  auto& s = state_of(p);
  if (n > s.body_room()) {
    s.refuse(413, "the body is too large");
    return -1;
  }
  make_room(*s.body_, n, p->content_length);  // llhttp has taken these bytes off already
  s.body_->append(at, n);
  return 0;
}

int on_chunk_header(llhttp_t* p) {
  auto& s = state_of(p);
  ++s.chunks_;
  if (p->content_length > s.body_room()) {
    s.refuse(413, "the body is too large");
    return -1;
  }
  if (p->content_length > 0) return 0;
  s.phase_ = phase::trailers;
  s.last_ = '\n';
  s.lines_ = 1;
  s.head_bytes_ = 0;
  return HPE_PAUSED;
}

int on_chunk_extension_name_complete(llhttp_t* p) {
  state_of(p).extension_ends_ = true;
  return HPE_PAUSED;
}

int on_message_complete(llhttp_t* p) {
  auto& s = state_of(p);
  if (s.has_body_) s.phase_ = phase::done;  // without a body, accept_head() has the last word
  return HPE_PAUSED;
}

llhttp_settings_t make_settings() noexcept {
  llhttp_settings_t s;
  llhttp_settings_init(&s);
  s.on_url = on_url;
  s.on_url_complete = on_url_complete;
  s.on_header_field = on_header_field;
  s.on_header_value = on_header_value;
  s.on_header_value_complete = on_header_value_complete;
  s.on_headers_complete = on_headers_complete;
  s.on_body = on_body;
  s.on_chunk_header = on_chunk_header;
  s.on_chunk_extension_name_complete = on_chunk_extension_name_complete;
  s.on_message_complete = on_message_complete;
  return s;
}

void init(parser_state& s, llhttp_type_t type) noexcept {
  static_assert(sizeof(llhttp_t) == sizeof(s.llhttp_) && alignof(llhttp_t) <= 8);
  static const llhttp_settings_t settings = make_settings();
  auto* p = new (s.llhttp_) llhttp_t;
  llhttp_init(p, type, &settings);
  p->data = &s;
}

}  // namespace

void attach(parser_state& s, request& into) noexcept {
  s.request_ = &into;
  s.headers_ = &into.headers;
  s.body_ = &into.body;
  init(s, HTTP_REQUEST);
}

void attach(parser_state& s, response& into) noexcept {
  s.response_ = &into;
  s.headers_ = &into.headers;
  s.body_ = &into.body;
  init(s, HTTP_RESPONSE);
}

void restart(parser_state& s) noexcept {
  llhttp_reset(&llhttp_of(s));
  static_cast<parser_progress&>(s) = {};
}

std::optional<std::uint64_t> length_of_body(const parser_state& s) noexcept {
  const auto& p = llhttp_of(s);
  if (!s.has_body_ || !(p.flags & F_CONTENT_LENGTH)) return {};
  return p.content_length;
}

std::size_t run_llhttp(parser_state& s, std::string_view bytes) {
  auto& p = llhttp_of(s);
  const auto result = llhttp_execute(&p, bytes.data(), bytes.size());
  if (result == HPE_OK) return bytes.size();
  const auto used = static_cast<std::size_t>(llhttp_get_error_pos(&p) - bytes.data());
  if (result == HPE_PAUSED) {
    llhttp_resume(&p);
    return used;
  }
  if (s.phase_ != phase::failed) {  // not refused by a callback, so by llhttp itself
    const std::string_view reason = llhttp_get_error_reason(&p);
    const bool other_version = result == HPE_PAUSED_H2_UPGRADE || reason == "Invalid HTTP version";
    s.refuse(other_version ? 505 : 400, reason);
  }
  return std::min(used, bytes.size());
}

}  // namespace heddle::http::detail
