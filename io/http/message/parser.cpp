// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/parser.h>

#include <heddle/core/checked.h>

#include <llhttp.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace heddle::http {
namespace {

// What a chunk may cost besides its data before it looks like an attack: its size line and CRLF are
// 20 bytes at most, the rest leaves room for the short extensions some proxies add.
constexpr std::size_t framing_per_chunk = 64;

// RFC 9112, 2.2 asks for patience with a client that ends its last body with an empty line too
// many.
constexpr unsigned max_empty_bytes = 16;

// RFC 9110, 9.1: longer than any method that there is. Beyond it the answer is 501.
constexpr std::size_t max_method_bytes = 64;

// How much of a head llhttp is given at once. A tab is looked for in it first, and without a bound
// that would search a whole pipelined read for each request.
constexpr std::size_t head_piece = 1024;

constexpr std::array<bool, 256> table_of(std::string_view more) {
  std::array<bool, 256> t{};
  for (int c = '0'; c <= '9'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (const char c : more) t[static_cast<unsigned char>(c)] = true;
  return t;
}
constexpr auto name_chars = table_of("-._~!$&'()*+,;=");  // of a host, unescaped
constexpr auto token_chars = table_of("!#$%&'*+-.^_`|~");

bool in(const std::array<bool, 256>& table, char c) noexcept {
  return table[static_cast<unsigned char>(c)];
}

bool is_hex(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// RFC 3986, 3.2.3: digits, perhaps none, and a number that a port can be.
bool is_port(std::string_view text) noexcept {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > 65535) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;
}

/// What stands between the brackets of an IP literal.
bool is_literal(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return false;
  std::memcpy(copy.data(), text.data(), text.size());
  in6_addr unused;
  return ::inet_pton(AF_INET6, copy.data(), &unused) == 1;
}

/// RFC 9110, 7.2: a host, which may be empty, and a port, if there is one.
bool is_host(std::string_view text) noexcept {
  const char* p = text.data();
  const char* const end = p + text.size();
  if (p != end && *p == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos || !is_literal(text.substr(1, close - 1))) return false;
    p += close + 1;
  } else {
    for (;;) {
      while (p != end && in(name_chars, *p)) ++p;
      if (p == end || *p != '%') break;
      if (end - p < 3 || !is_hex(p[1]) || !is_hex(p[2])) return false;
      p += 3;
    }
  }
  return p == end || (*p == ':' && is_port(std::string_view(p + 1, end)));
}

/// The methods that llhttp reads itself: those of nearly every request.
bool is_usual_method(std::string_view bytes) noexcept {
  return bytes.starts_with("GET ") || bytes.starts_with("POST ") || bytes.starts_with("HEAD ") ||
         bytes.starts_with("PUT ");
}

void name_usual_method(method& m, std::uint8_t number) {
  switch (number) {
    case HTTP_HEAD: m = method::head; return;
    case HTTP_POST: m = method::post; return;
    case HTTP_PUT: m = method::put; return;
    default: m = method::get;
  }
}

}  // namespace

namespace detail {

/// llhttp calls these from within run(). A piece of a name, a target or a value may be all of it or
/// not, so the pieces are only gathered; what there is to judge is judged where llhttp says that
/// something is complete, and what depends on the whole head in accept_head(), behind
/// check_lines(). So the verdict does not depend on the cuts.
struct parser_core::glue {
  static llhttp_t& parser(parser_core& c) noexcept {
    return *std::launder(reinterpret_cast<llhttp_t*>(c.llhttp_));
  }
  static parser_core& core(llhttp_t* p) noexcept { return *static_cast<parser_core*>(p->data); }

  static int on_url(llhttp_t* p, const char* at, std::size_t n) {
    core(p).request_->target.append(at, n);
    return 0;
  }

  static int on_url_complete(llhttp_t* p) {
    auto& c = core(p);
    if (p->http_minor == 9) {  // llhttp's mark for a line without a version
      c.refuse(400, "HTTP/0.9 is not spoken here");
      return -1;
    }
    if (c.request_->target.size() > c.limits_.target_bytes) {
      c.refuse(414, "the request target is too long");
      return -1;
    }
    if (!c.method_named_) name_usual_method(c.request_->method, p->method);
    c.protocol_at_ = c.request_->method.text().size() + 1 + c.request_->target.size() + 1;
    return 0;
  }

  static int on_header_field(llhttp_t* p, const char* at, std::size_t n) {
    auto& c = core(p);
    if (c.phase_ == phase::trailers) return 0;  // what comes behind the body is no header
    auto& places = c.headers_->places_;
    if (!c.in_field_) {
      c.in_field_ = true;
      places.push_back({c.offset_of(at), 0, 0, 0});
    }
    places.back().name_size += heddle::detail::narrow<std::uint32_t>(n);
    return 0;
  }

  static int on_header_value(llhttp_t* p, const char* at, std::size_t n) {
    auto& c = core(p);
    if (c.phase_ == phase::trailers || !c.in_field_) return 0;
    auto& place = c.headers_->places_.back();
    if (place.value_at == 0) place.value_at = c.offset_of(at);
    // Up to here: what lies between the pieces of a folded value belongs to it.
    place.value_size = c.offset_of(at) + heddle::detail::narrow<std::uint32_t>(n) - place.value_at;
    return 0;
  }

  static int on_header_value_complete(llhttp_t* p) {
    auto& c = core(p);
    if (c.phase_ == phase::trailers) return 0;
    const auto& places = c.headers_->places_;
    if (!c.in_field_ || places.back().name_size == 0) {
      c.refuse(400, "a header field without a name");
      return -1;
    }
    if (places.size() > c.limits_.header_count) {
      c.refuse(431, "too many header fields");
      return -1;
    }
    c.in_field_ = false;
    return 0;
  }

  static int on_headers_complete(llhttp_t* p) {
    auto& c = core(p);
    c.head_complete_ = true;
    p->upgrade = 0;  // offers to switch protocols are declined by going on as usual
    if (c.response_ && (c.to_head_ || status_has_no_body(p->status_code))) return 1;
    c.has_body_ = (p->flags & (F_CHUNKED | F_TRANSFER_ENCODING)) != 0 || p->content_length > 0 ||
                  llhttp_message_needs_eof(p);
    return c.has_body_ ? HPE_PAUSED
                       : 0;  // without a body, on_message_complete pauses at the same place
  }

  static int on_body(llhttp_t* p, const char* at, std::size_t n) {
    auto& c = core(p);
    if (n > c.limits_.body_bytes - c.body_->size()) {
      c.refuse(413, "the body is too large");
      return -1;
    }
    c.body_->append(at, n);
    return 0;
  }

  static int on_chunk_header(llhttp_t* p) {
    auto& c = core(p);
    ++c.chunks_;
    if (p->content_length > c.limits_.body_bytes - c.body_->size()) {
      c.refuse(413, "the body is too large");
      return -1;
    }
    if (p->content_length > 0) return 0;
    c.phase_ = phase::trailers;
    c.last_ = '\n';
    c.lines_ = 1;
    c.head_bytes_ = 0;
    return HPE_PAUSED;
  }

  static int on_chunk_extension_name_complete(llhttp_t* p) {
    core(p).extension_ends_ = true;
    return HPE_PAUSED;
  }

  static int on_message_complete(llhttp_t* p) {
    auto& c = core(p);
    if (c.has_body_) c.phase_ = phase::done;  // without one, accept_head() has the last word
    return HPE_PAUSED;
  }

  static llhttp_settings_t make_settings() noexcept {
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

  static void init(parser_core& c, llhttp_type_t type) noexcept {
    static_assert(sizeof(llhttp_t) == sizeof(c.llhttp_) && alignof(llhttp_t) <= 8);
    static const llhttp_settings_t settings = make_settings();
    auto* p = new (c.llhttp_) llhttp_t;
    llhttp_init(p, type, &settings);
    p->data = &c;
  }
};

void parser_core::attach(http::request& r) noexcept {
  request_ = &r;
  headers_ = &r.headers;
  body_ = &r.body;
  glue::init(*this, HTTP_REQUEST);
}

void parser_core::attach(http::response& r) noexcept {
  response_ = &r;
  headers_ = &r.headers;
  body_ = &r.body;
  glue::init(*this, HTTP_RESPONSE);
}

void parser_core::restart() noexcept {
  llhttp_reset(&glue::parser(*this));
  static_cast<parser_progress&>(*this) = {};
}

bool parser_core::refuse(int status, std::string_view reason) noexcept {
  phase_ = phase::failed;
  error_ = {status, reason};
  return false;
}

std::size_t parser_core::feed(std::string_view bytes) {
  std::size_t used = phase_ == phase::start ? skip_empty_lines(bytes) : 0;
  while (used < bytes.size()) {
    const auto rest = bytes.substr(used);
    switch (phase_) {
      case phase::start: phase_ = phase::head; [[fallthrough]];
      case phase::head: used += feed_head(rest); break;
      case phase::body: used += feed_body(rest); break;
      case phase::trailers: used += feed_trailers(rest); break;
      case phase::done:
      case phase::failed: return used;
    }
  }
  return used;
}

std::size_t parser_core::skip_empty_lines(std::string_view bytes) noexcept {
  const auto n = std::min(bytes.find_first_not_of("\r\n"), bytes.size());
  empty_lines_ += heddle::detail::narrow<unsigned>(std::min<std::size_t>(n, max_empty_bytes + 1));
  if (empty_lines_ > max_empty_bytes) refuse(400, "empty lines instead of a message");
  return n;
}

/// llhttp refuses methods that it does not know, and gives some others a meaning of its own (those
/// of RTSP, ICE and HTTP/2). So it hears only of the standard ones, and of POST for any other.
std::size_t parser_core::feed_method(std::string_view bytes) {
  std::size_t n = 0;
  while (n < bytes.size() && in(token_chars, bytes[n]) && head_bytes_ + n <= max_method_bytes) ++n;
  headers_->text_.append(bytes.data(), n);
  head_bytes_ += n;
  if (head_bytes_ > max_method_bytes) {
    refuse(501, "the request method is longer than any");
    return n;
  }
  if (n == bytes.size()) return n;
  if (bytes[n] != ' ' || head_bytes_ == 0) {
    refuse(400, "a request begins with a method and a space");
    return n;
  }
  request_->method = method(std::string_view(headers_->text_));
  method_done_ = method_named_ = true;
  const bool standard = request_->method.kind() != method::other;
  (void)run(standard ? request_->method.text() : std::string_view("POST"));
  return n;
}

std::size_t parser_core::feed_head(std::string_view bytes) {
  if (head_bytes_ == limits_.header_bytes) {
    if (request_ && protocol_at_ == 0)
      refuse(414, "the request target is too long");
    else
      refuse(431, "the header fields are too large");
    return 0;
  }
  bytes = bytes.substr(0, std::min(limits_.header_bytes - head_bytes_, head_piece));
  if (request_ && !method_done_) {
    if (head_bytes_ != 0 || !is_usual_method(bytes)) return feed_method(bytes);
    method_done_ = true;
  }
  piece_ = bytes.data();
  const bool tabs = std::memchr(bytes.data(), '\t', bytes.size()) != nullptr;
  const auto used = tabs ? run_tabs(bytes) : run(bytes);
  check_lines(bytes.substr(0, used));
  head_bytes_ += used;
  headers_->text_.append(bytes.data(), used);
  if (phase_ == phase::failed) headers_->clear();  // places may reach beyond what was taken
  if (phase_ == phase::head && head_complete_) accept_head();
  return used;
}

/// llhttp refuses a tab behind the value of Content-Length or Transfer-Encoding, which is legal
/// white space. So it sees a space in place of a tab. The start line has no white space but its
/// spaces, and goes as it is.
std::size_t parser_core::run_tabs(std::string_view bytes) {
  if (!line_done_) {
    const auto end = bytes.find('\n');
    return run(end == std::string_view::npos ? bytes : bytes.substr(0, end + 1));
  }
  std::array<char, head_piece> copy;
  std::ranges::replace_copy(bytes, copy.data(), '\t', ' ');
  piece_ = copy.data();
  return run(std::string_view(copy.data(), bytes.size()));
}

std::size_t parser_core::feed_body(std::string_view bytes) {
  const auto before = body_->size();
  std::size_t used = 0;
  if (extension_ == extension::none) {
    used = run(bytes);
    // The name of an extension has ended: here at "=", and before the first byte of its value?
    if (std::exchange(extension_ends_, false) && (used == 0 || bytes[used - 1] == '='))
      extension_ = extension::value;
  } else {
    used = feed_extension(bytes);
  }
  framing_ += used - (body_->size() - before);
  if (phase_ != phase::failed && framing_ > limits_.header_bytes + framing_per_chunk * chunks_) {
    refuse(400, "the chunk sizes and their extensions outweigh the body");
  }
  return used;
}

/// The value of a chunk's extension, a token or a quoted string. llhttp hears of an empty quoted
/// string instead: it knows no quoted pairs, and stumbles over ";" behind a token.
std::size_t parser_core::feed_extension(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    const bool control = (c >= 0 && c < ' ' && c != '\t') || c == 0x7f;
    switch (extension_) {
      case extension::value:
        extension_ = c == '"' ? extension::quoted : extension::token;
        if (c == '"') break;
        [[fallthrough]];
      case extension::token:
        if (in(token_chars, c)) break;
        [[fallthrough]];
      case extension::behind:
        if (c != ';' && c != '\r') {
          refuse(400, "a malformed value of a chunk's extension");
          return i;
        }
        extension_ = extension::none;
        (void)run("\"\"");
        return i;
      case extension::quoted:
        if (c == '"') extension_ = extension::behind;
        if (c == '\\') extension_ = extension::escaped;
        break;
      case extension::escaped: extension_ = extension::quoted; break;
      case extension::none: return i;
    }
    if (control) {
      refuse(400, "a control character in a chunk's extension");
      return i;
    }
  }
  return bytes.size();
}

std::size_t parser_core::feed_trailers(std::string_view bytes) {
  if (head_bytes_ == limits_.header_bytes) {
    refuse(431, "the trailer fields are too large");
    return 0;
  }
  bytes = bytes.substr(0, limits_.header_bytes - head_bytes_);
  const auto used = run(bytes);
  check_lines(bytes.substr(0, used));
  head_bytes_ += used;
  return used;
}

/// Lets llhttp have the bytes, and says how many it took until a callback paused it or an error
/// stopped it.
std::size_t parser_core::run(std::string_view bytes) {
  auto& p = glue::parser(*this);
  const auto result = llhttp_execute(&p, bytes.data(), bytes.size());
  if (result == HPE_OK) return bytes.size();
  const auto used = static_cast<std::size_t>(llhttp_get_error_pos(&p) - bytes.data());
  if (result == HPE_PAUSED) {
    llhttp_resume(&p);
    return used;
  }
  if (phase_ != phase::failed) {  // not refused by a callback, so by llhttp itself
    const std::string_view reason = llhttp_get_error_reason(&p);
    const bool other_version = result == HPE_PAUSED_H2_UPGRADE || reason == "Invalid HTTP version";
    refuse(other_version ? 505 : 400, reason);
  }
  return std::min(used, bytes.size());
}

/// What llhttp lets pass between the lines of a head. It looks at the bytes up to where llhttp
/// stopped, so what it finds came before whatever llhttp found, and takes its place.
void parser_core::check_lines(std::string_view bytes) noexcept {
  if (protocol_at_ != 0 && !protocol_seen_) {
    const auto i = protocol_at_ - head_bytes_;
    if (protocol_at_ < head_bytes_ || (i < bytes.size() && bytes[i] != 'H')) {
      refuse(400, "the request line is not: method, one space, target, one space, HTTP version");
      return;
    }
    protocol_seen_ = i < bytes.size();
  }
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); p != end;) {
    if (last_ == '\n' && (*p == ' ' || *p == '\t')) {
      if (!response_ || lines_ < 2) {  // a client must accept them, behind a field
        refuse(400, "folded header fields are not accepted");
        return;
      }
      folded_ = true;
    }
    const auto* lf =
        static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
    if (lf == nullptr) {
      last_ = end[-1];
      return;
    }
    if ((lf == p ? last_ : lf[-1]) != '\r') {
      refuse(400, "a line ends without CR");
      return;
    }
    if (request_ && protocol_at_ == 0) {
      refuse(400, "HTTP/0.9 is not spoken here");
      return;
    }
    line_done_ = true;
    last_ = '\n';
    ++lines_;
    p = lf + 1;
  }
}

std::uint32_t parser_core::offset_of(const char* at) const noexcept {
  return heddle::detail::narrow<std::uint32_t>(head_bytes_ + static_cast<std::size_t>(at - piece_));
}

void parser_core::accept_head() {
  const auto& p = glue::parser(*this);
  if (folded_ && !unfold_fields()) return;
  accept_fields();
  if (request_ ? !accept_request_head() : !accept_response_head()) return;
  if ((p.flags & F_CONTENT_LENGTH) && has_body_ && p.content_length > limits_.body_bytes) {
    refuse(413, "the body is too large");
    return;
  }
  phase_ = has_body_ ? phase::body : phase::done;
}

/// Takes the white space behind the values off, and finds the fields that matter here.
void parser_core::accept_fields() noexcept {
  for (auto& place : headers_->places_) {
    const auto value = headers_->value_of(place);
    while (place.value_size > 0 &&
           (value[place.value_size - 1] == ' ' || value[place.value_size - 1] == '\t')) {
      --place.value_size;
    }
    const auto name = headers_->name_of(place);
    if (name.size() == 4 && same_token(name, "host")) {
      ++hosts_;
      host_ = headers_->value_of(place);
    } else if (name.size() == 17 && same_token(name, "transfer-encoding")) {
      ++codings_;
    }
  }
}

bool parser_core::accept_request_head() {
  const auto& p = glue::parser(*this);
  auto& r = *request_;
  if (p.http_major != 1) {
    return p.http_major == 0 ? refuse(400, "HTTP/0.9 is not spoken here")
                             : refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  }
  r.version = p.http_minor == 0 ? version::http_1_0 : version::http_1_1;
  if (hosts_ > 1) return refuse(400, "more than one Host field");
  if (hosts_ == 0 && r.version == version::http_1_1)
    return refuse(400, "the Host field is missing");
  if (hosts_ == 1 && !is_host(host_)) return refuse(400, "the Host field is malformed");
  if (codings_ > 0) {
    if (r.version == version::http_1_0) return refuse(400, "Transfer-Encoding in HTTP/1.0");
    if (!(p.flags & F_CHUNKED)) return refuse(400, "the transfer coding must end with chunked");
    for (const auto field : *headers_) {
      if (same_token(field.name, "transfer-encoding") && !same_token(field.value, "chunked")) {
        return refuse(501, "no transfer coding is known but chunked");
      }
    }
  }
  if (!r.decode_target() || !accept_target()) return refuse(400, "the request target is malformed");
  const bool close = (p.flags & F_CONNECTION_CLOSE) != 0;
  r.keep_alive = !close && (r.version == version::http_1_1 || (p.flags & F_CONNECTION_KEEP_ALIVE));
  return true;
}

/// RFC 9112, 3.2.2: a host in the target counts, and the Host field is forgotten.
bool parser_core::accept_target() {
  const auto& r = *request_;
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
  headers_->set("Host", authority);
  return true;
}

bool parser_core::accept_response_head() noexcept {
  const auto& p = glue::parser(*this);
  if (p.http_major != 1) return refuse(505, "the server speaks another version of HTTP");
  if (p.status_code < 100) return refuse(400, "the status code has fewer than three digits");
  if (codings_ > 0 && has_body_ && !((p.flags & F_CHUNKED) && only_chunked()))
    return refuse(501, "no transfer coding is known but chunked");
  response_->status = p.status_code;
  until_close_ = has_body_ && llhttp_message_needs_eof(&p);
  // llhttp reads folded fields piece by piece; and chunks in HTTP/1.0 are no framing to go on with.
  const bool odd = folded_ || (codings_ > 0 && p.http_minor == 0);
  keep_alive_ = !until_close_ && !odd && p.status_code != 101 && !(p.flags & F_CONNECTION_CLOSE) &&
                (p.http_minor == 1 || (p.flags & F_CONNECTION_KEEP_ALIVE));
  return true;
}

/// Replaces the line ends inside of folded values by spaces. False: a field that frames the body is
/// folded, and llhttp may have read another number or coding from it than others would.
bool parser_core::unfold_fields() noexcept {
  for (const auto& place : headers_->places_) {
    const auto value = std::span(headers_->text_).subspan(place.value_at, place.value_size);
    if (std::ranges::find(value, '\n') == value.end()) continue;
    const auto name = headers_->name_of(place);
    if (same_token(name, "content-length") || same_token(name, "transfer-encoding"))
      return refuse(400, "a folded field tells where the body ends");
    for (char& c : value)
      if (c == '\r' || c == '\n') c = ' ';
  }
  return true;
}

/// The transfer codings are: chunked, once.
bool parser_core::only_chunked() const noexcept {
  unsigned found = 0;
  for (const auto field : *headers_) {
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

void parser_core::finish() noexcept {
  switch (phase_) {
    case phase::start:
    case phase::done:
    case phase::failed: return;
    case phase::body:
      if (until_close_) {
        phase_ = phase::done;
        return;
      }
      [[fallthrough]];
    case phase::head:
    case phase::trailers: refuse(400, "the connection ended inside a message");
  }
}

}  // namespace detail

request_parser::request_parser(const limits& l) noexcept : parser_core(l) { attach(message_); }

bool request_parser::expects_continue() const noexcept {
  return head_done() && !done() && message_.version == version::http_1_1 &&
         message_.headers.has_token("expect", "100-continue");
}

void request_parser::next() noexcept {
  message_.clear();
  restart();
}

response_parser::response_parser(const limits& l) noexcept : parser_core(l) { attach(message_); }

std::size_t response_parser::feed(std::string_view bytes) {
  std::size_t used = 0;
  for (;;) {
    used += parser_core::feed(bytes.substr(used));
    const bool interim = done() && message_.status < 200 && message_.status != 101;
    if (!interim) return used;
    message_.clear();
    restart();
    if (++interim_ > most_interim()) {
      refuse(400, "more interim answers (1xx) than limits::interim_answers");
      return used;
    }
  }
}

void response_parser::next() noexcept {
  message_.clear();
  restart();
  to_head_ = false;
  interim_ = 0;
}

}  // namespace heddle::http
