// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/parser.h>

#include <heddle/core/checked.h>
#include <heddle/io/http/message/body.h>
#include <heddle/io/http/message/grammar.h>
#include <heddle/io/http/message/head.h>
#include <heddle/io/http/message/llhttp_glue.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace heddle::http {
namespace {

// RFC 9112, 2.2 asks for patience with a client that ends its last body with an empty line too
// many.
constexpr unsigned max_empty_bytes = 16;

// Longer than any method that there is (RFC 9110, 9.1). Beyond it the answer is 501.
constexpr std::size_t max_method_bytes = 64;

}  // namespace

namespace detail {

std::size_t parser_core::feed(std::string_view bytes) {
  std::size_t used = phase_ == phase::start ? skip_empty_lines(bytes) : 0;
  while (used < bytes.size()) {
    const auto rest = bytes.substr(used);
    switch (phase_) {
      case phase::start: phase_ = phase::head; [[fallthrough]];
      case phase::head:
        used += feed_head(rest);
        if (in_pieces_ && phase_ == phase::body) return used;
        break;
      case phase::body: used += feed_body(*this, rest); break;
      case phase::trailers: used += feed_trailers(*this, rest); break;
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
/// of RTSP, ICE and HTTP/2). So it is given only the standard ones, and POST in place of any other.
std::size_t parser_core::feed_method(std::string_view bytes) {
  std::size_t n = 0;
  while (n < bytes.size() && is_in(token_chars, bytes[n]) && head_bytes_ + n <= max_method_bytes)
    ++n;
  head_text().append(bytes.data(), n);
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
  request_->method = method(std::string_view(head_text()));
  method_done_ = method_named_ = true;
  const bool standard = request_->method.kind() != method::other;
  (void)run_llhttp(*this, standard ? request_->method.text() : std::string_view("POST"));
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
  // A tab is looked for before llhttp is given the bytes. Without a bound that search would go over
  // a whole pipelined read for each request.
  bytes = bytes.substr(0, std::min(limits_.header_bytes - head_bytes_, at_once_));
  if (tolerance_ == tolerance::lenient && response_) {
    const auto bare = find_bare_lf(bytes);
    if (bare == 0) {  // the head gets the CR that is missing, and then this byte
      bare_lf_ = true;
      (void)run_head("\r");
      return 0;
    }
    bytes = bytes.substr(0, bare);
  }
  if (request_ && !method_done_) {
    if (head_bytes_ != 0 || !is_usual_method(bytes)) return feed_method(bytes);
    method_done_ = true;
  }
  return run_head(bytes);
}

/// Where a line ends without CR; the size of `bytes`: nowhere.
std::size_t parser_core::find_bare_lf(std::string_view bytes) const noexcept {
  for (std::size_t at = 0; (at = bytes.find('\n', at)) != std::string_view::npos; ++at)
    if ((at == 0 ? last_ : bytes[at - 1]) != '\r') return at;
  return bytes.size();
}

/// Gives bytes of a head to llhttp. Returns how many it took.
std::size_t parser_core::run_head(std::string_view bytes) {
  piece_ = bytes.data();
  const bool tabs = std::memchr(bytes.data(), '\t', bytes.size()) != nullptr;
  const auto used = tabs ? run_tabs(bytes) : run_llhttp(*this, bytes);
  check_lines(*this, bytes.substr(0, used));
  head_bytes_ += used;
  head_text().append(bytes.data(), used);
  if (phase_ == phase::failed) headers_->clear();  // places may reach beyond what was taken
  if (phase_ == phase::head && head_complete_) {
    // The next head is likely to be as long as this one. A longer one costs a second call of
    // llhttp, so the bound falls slowly where lengths vary.
    at_once_ = std::min(most_at_once, std::max(head_bytes_ + 32, at_once_ - at_once_ / 8));
    accept_head(*this);
  }
  return used;
}

/// llhttp refuses a tab behind the value of Content-Length or Transfer-Encoding, which is legal
/// white space. So it is given a space in place of each tab. In the start line only spaces are
/// legal white space, so the start line goes as it is.
std::size_t parser_core::run_tabs(std::string_view bytes) {
  if (lines_ == 0) {
    const auto end = bytes.find('\n');
    return run_llhttp(*this, end == std::string_view::npos ? bytes : bytes.substr(0, end + 1));
  }
  std::array<char, most_at_once> copy;
  std::ranges::replace_copy(bytes, copy.data(), '\t', ' ');
  piece_ = copy.data();
  return run_llhttp(*this, std::string_view(copy.data(), bytes.size()));
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

bool parser_core::set_body_limit(std::size_t most) noexcept {
  const std::size_t has = taken_ + body_->size();
  const auto declared = declared_length();
  if (has > most || (declared && *declared > most)) return false;
  limits_.body_bytes = most;
  return true;
}

std::optional<std::uint64_t> parser_core::declared_length() const noexcept {
  return length_of_body(*this);
}

}  // namespace detail

request_parser::request_parser(const limits& l) noexcept : parser_core(l) {
  attach(*this, message_);
}

bool request_parser::expects_continue() const noexcept {
  return head_done() && !done() && message_.version == version::http_1_1 &&
         message_.headers.has_token("expect", "100-continue");
}

void request_parser::next() noexcept {
  message_.clear();
  restart(*this);
}

response_parser::response_parser(const limits& l) noexcept : parser_core(l) {
  attach(*this, message_);
}

std::size_t response_parser::feed(std::string_view bytes) {
  std::size_t used = 0;
  for (;;) {
    used += parser_core::feed(bytes.substr(used));
    const bool interim = done() && message_.status < 200 && message_.status != 101;
    if (!interim) return used;
    message_.clear();
    restart(*this);
    if (++interim_ > limits_.interim_answers) {
      refuse(400, "more interim answers (1xx) than limits::interim_answers");
      return used;
    }
  }
}

void response_parser::next() noexcept {
  message_.clear();
  restart(*this);
  to_head_ = false;
  interim_ = 0;
}

}  // namespace heddle::http
