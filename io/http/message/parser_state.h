// SPDX-License-Identifier: MIT
// Internal to io; installed, since public headers need it.
// All that a parser works on. Its parts are functions over this: the glue to llhttp, the judgement
// of heads, and bodies.
#pragma once

#include <heddle/io/http/message.h>
#include <heddle/io/http/message/limits.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http {

/// What a client takes of answers that break the rules without harm. What frames a body is judged
/// alike in all three.
///   usual    folded fields (RFC 9112, 5.2), and more than one space before the reason
///   lenient  also lines of the head that end with LF alone
///   strict   none of that, and no repeated Content-Type
enum class tolerance : std::uint8_t { usual, lenient, strict };

}  // namespace heddle::http

namespace heddle::http::detail {

inline constexpr std::string_view odd_request_line =
    "the request line is not: method, one space, target, one space, HTTP version";

/// How far a message has come. All of it begins anew with the next message.
struct parser_progress {
  enum class phase : std::uint8_t { start, head, body, trailers, done, failed };
  /// Where in a chunk's extension the parser stands. llhttp does not know "\"" in a quoted value.
  enum class extension : std::uint8_t { none, value, token, quoted, escaped, behind };

  phase phase_ = phase::start;
  extension extension_ = extension::none;
  bool method_done_ = false;     // its space has been seen, or llhttp reads it
  bool method_named_ = false;    // by the parser, and not by llhttp
  bool extension_ends_ = false;  // the name of a chunk's extension has ended
  bool in_field_ = false;        // a name has begun and its value has not ended
  bool protocol_seen_ = false;   // "HTTP" stands where it must
  bool head_complete_ = false;   // says llhttp
  bool has_body_ = false;
  bool until_close_ = false;  // the response's body ends with the connection
  bool keep_alive_ = false;
  bool folded_ = false;          // a field of the response goes on in another line
  bool bare_lf_ = false;         // a line of the response ended without CR
  char last_ = 0;                // the last byte of the head before this piece
  unsigned empty_lines_ = 0;     // bytes skipped before the start line
  std::size_t lines_ = 0;        // of the head, or the trailers, that have ended
  unsigned hosts_ = 0;           // Host fields
  unsigned codings_ = 0;         // Transfer-Encoding fields
  std::size_t head_bytes_ = 0;   // of this head so far
  std::size_t target_at_ = 0;    // where the target begins
  std::size_t protocol_at_ = 0;  // where "HTTP/1.1" must begin in a request line, once known
  std::size_t chunks_ = 0;
  std::size_t framing_ = 0;  // bytes of a chunked body that are not body
  std::size_t taken_ = 0;    // bytes of the body that the caller has taken out of the message
  std::string_view host_;
  parse_error error_;
};

/// One parser's, so one task's at a time.
struct parser_state : parser_progress {
  using place = headers::place;

  explicit parser_state(const limits& l) noexcept : limits_(within_reach(l)) {}
  parser_state(const parser_state&) = delete;
  parser_state& operator=(const parser_state&) = delete;

  /// Places in a head are 32 bits wide. So a head has at most 1 GiB, whatever limit is asked for.
  static constexpr limits within_reach(limits l) noexcept {
    constexpr std::size_t most = std::size_t{1} << 30;
    if (l.header_bytes > most) l.header_bytes = most;
    return l;
  }

  /// So many bytes may still be added to the body.
  std::size_t body_room() const noexcept { return limits_.body_bytes - taken_ - body_->size(); }

  /// Returns false.
  bool refuse(int status, std::string_view reason) noexcept {
    phase_ = phase::failed;
    error_ = {status, reason};
    return false;
  }

  // The whole head stands in the text of `headers`, and the fields are places in it.
  std::string& head_text() const noexcept { return headers_->text_; }
  std::vector<place>& places() const noexcept { return headers_->places_; }
  std::string_view name_of(const place& p) const noexcept { return headers_->name_of(p); }
  std::string_view value_of(const place& p) const noexcept { return headers_->value_of(p); }

  alignas(8) std::byte llhttp_[96];  // an llhttp_t, whose header stays out of the public ones
  limits limits_;
  const char* piece_ = nullptr;       // what llhttp works on
  http::request* request_ = nullptr;  // one of these two is set
  http::response* response_ = nullptr;
  http::headers* headers_ = nullptr;  // of the one that is
  std::string* body_ = nullptr;
  bool to_head_ = false;    // the response answers a HEAD: it has no body, whatever it says
  bool in_pieces_ = false;  // the caller takes the body piece by piece
  tolerance tolerance_ = tolerance::usual;  // of answers

  /// The most of a head that llhttp is given at once.
  static constexpr std::size_t most_at_once = 1024;
  std::size_t at_once_ = most_at_once;  // the same, as heads of late have needed it

  std::array<char, 48> good_host_{};  // the last Host field that was judged to be well-formed
  std::size_t good_host_size_ = 0;
};

}  // namespace heddle::http::detail
