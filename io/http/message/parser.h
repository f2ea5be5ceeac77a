// SPDX-License-Identifier: MIT
#pragma once

// Problem     Bytes arrive in pieces of any size; one piece may hold many pipelined messages, or a
//             byte of one.
// Rejected    One call per header or body piece (callers would rebuild messages, each in its own
//             way); parsing all of a piece at once (needs a list of messages, and a limit on it).
// Chosen      A parser that stops behind one message. It never looks at a socket or a clock: the
//             server feeds it, and decides what to do with the rest.
// Promised    What feed() reports does not depend on how the bytes were cut. A kept parser
//             allocates nothing for messages like the ones before.

#include <heddle/io/http/message.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::http {

/// What one message may cost. The status is what a server answers beyond it.
struct limits {
  std::size_t header_bytes = 64 * 1024;  // start line and fields, and again the trailers: 431
  std::size_t header_count = 100;        // 431
  std::size_t target_bytes = 8 * 1024;   // 414
  std::size_t body_bytes = 1024 * 1024;  // 413
  // Answers with status 1xx before the one that counts: a client gives up beyond so many.
  std::size_t interim_answers = 100;
};

/// Why a message was refused: the status a server answers with, and a sentence for people.
struct parse_error {
  int status = 0;
  std::string_view reason;  // a literal
};

namespace detail {

/// Places in a head are 32 bits wide, so a head has at most 1 GiB, whatever limit was asked for.
constexpr limits within_reach(limits l) noexcept {
  constexpr std::size_t most = std::size_t{1} << 30;
  if (l.header_bytes > most) l.header_bytes = most;
  return l;
}

/// How far a message has come. All of it starts anew with the next one.
struct parser_progress {
  enum class phase : std::uint8_t { start, head, body, trailers, done, failed };
  /// Where in a chunk's extension we are: llhttp does not know "\"" in a quoted value.
  enum class extension : std::uint8_t { none, value, token, quoted, escaped, behind };

  phase phase_ = phase::start;
  extension extension_ = extension::none;
  bool method_done_ = false;     // its space has been seen, or llhttp reads it
  bool method_named_ = false;    // by us, and not by llhttp
  bool line_done_ = false;       // the start line has ended
  bool extension_ends_ = false;  // the name of a chunk's extension has ended
  bool in_field_ = false;        // a name has begun and its value has not ended
  bool protocol_seen_ = false;   // "HTTP" stands where it must
  bool head_complete_ = false;   // says llhttp
  bool has_body_ = false;
  bool until_close_ = false;  // the response's body ends with the connection
  bool keep_alive_ = false;
  bool folded_ = false;          // a field of the response goes on in another line
  char last_ = 0;                // the last byte of the head before this piece
  unsigned empty_lines_ = 0;     // bytes skipped before the start line
  std::size_t lines_ = 0;        // of the head, or the trailers, that have ended
  unsigned hosts_ = 0;           // fields of that name
  unsigned codings_ = 0;         // Transfer-Encoding fields
  std::size_t head_bytes_ = 0;   // of this head so far
  std::size_t protocol_at_ = 0;  // where "HTTP/1.1" must begin in a request line, once known
  std::size_t chunks_ = 0;
  std::size_t framing_ = 0;  // bytes of a chunked body that are not body
  std::string_view host_;
  parse_error error_;
};

/// What requests and responses have in common: llhttp, the limits, and what llhttp alone lets pass
/// (bare LF, folded lines, repeated spaces in the start line, other protocols' start lines).
class parser_core : parser_progress {
 public:
  parser_core(const parser_core&) = delete;
  parser_core& operator=(const parser_core&) = delete;

  bool done() const noexcept { return phase_ == phase::done; }
  bool failed() const noexcept { return phase_ == phase::failed; }
  /// Nothing of a message has been seen yet: a connection may close here without loss.
  bool idle() const noexcept { return phase_ == phase::start; }
  /// Start line and fields are complete and accepted (the body may still be under way).
  bool head_done() const noexcept { return phase_ >= phase::body && phase_ <= phase::done; }
  const parse_error& error() const noexcept { return error_; }
  /// Bytes of empty lines that were skipped before the message. Somebody who puts the parser away
  /// while it is idle gives them to the next one, so that their limit holds over the whole.
  unsigned empty_bytes() const noexcept { return empty_lines_; }
  void set_empty_bytes(unsigned n) noexcept { empty_lines_ = n; }
  /// Holds from the next message on.
  void set_limits(const limits& l) noexcept { limits_ = within_reach(l); }

 protected:
  explicit parser_core(const limits& l) noexcept : limits_(within_reach(l)) {}
  ~parser_core() = default;

  void attach(http::request& r) noexcept;
  void attach(http::response& r) noexcept;
  std::size_t feed(std::string_view bytes);
  void finish() noexcept;
  void restart() noexcept;

  bool may_stay() const noexcept { return keep_alive_; }
  bool refuse(int status, std::string_view reason) noexcept;
  std::size_t most_interim() const noexcept { return limits_.interim_answers; }

  bool to_head_ = false;  // the response answers a HEAD: it has no body whatever it says

 private:
  struct glue;  // the functions llhttp calls

  std::size_t skip_empty_lines(std::string_view bytes) noexcept;
  std::size_t feed_method(std::string_view bytes);
  std::size_t feed_head(std::string_view bytes);
  std::size_t run_tabs(std::string_view bytes);
  std::size_t feed_body(std::string_view bytes);
  std::size_t feed_extension(std::string_view bytes);
  std::size_t feed_trailers(std::string_view bytes);
  std::size_t run(std::string_view bytes);
  void check_lines(std::string_view bytes) noexcept;
  std::uint32_t offset_of(const char* at) const noexcept;
  void accept_head();
  void accept_fields() noexcept;
  bool accept_request_head();
  bool accept_target();
  bool accept_response_head() noexcept;
  bool unfold_fields() noexcept;
  bool only_chunked() const noexcept;

  alignas(8) std::byte llhttp_[96];  // an llhttp_t, whose header stays out of ours
  limits limits_;
  const char* piece_ = nullptr;       // what run() works on
  http::request* request_ = nullptr;  // one of these two is set
  http::response* response_ = nullptr;
  http::headers* headers_ = nullptr;  // of the one that is
  std::string* body_ = nullptr;
};

}  // namespace detail

/// Takes requests from a byte stream, one at a time.
///
///     request_parser parser;
///     while (!bytes.empty()) {
///       bytes.remove_prefix(parser.feed(bytes));
///       if (parser.failed()) { /* answer parser.error().status, close */ break; }
///       if (!parser.done()) break;                   // all consumed, more is needed
///       answer(parser.message());
///       parser.next();
///     }
///
/// Refused with 400: a missing, repeated or malformed Host, folded fields, both Content-Length and
/// Transfer-Encoding, a repeated Content-Length, a Transfer-Encoding other than chunked, bad
/// chunks, bare LF, control characters, HTTP/0.9; with 505 any other version but 1.0 and 1.1; with
/// 501 a method of more than 64 bytes; and what exceeds the limits. Any token is a method: which
/// ones are known is the routes' business.
class request_parser : public detail::parser_core {
 public:
  explicit request_parser(const limits& l = {}) noexcept;

  /// Consumes bytes up to the end of one message and says how many. All are consumed unless the
  /// message is done or refused; once it is, none.
  std::size_t feed(std::string_view bytes) { return parser_core::feed(bytes); }

  /// Complete when done(); its start line and headers already when head_done().
  http::request& message() noexcept { return message_; }
  const http::request& message() const noexcept { return message_; }

  /// The client waits for "100 Continue" before it sends the body.
  bool expects_continue() const noexcept;

  /// Ready for the next message; memory is kept.
  void next() noexcept;

 private:
  http::request message_;
};

/// Takes responses from a byte stream, one at a time, for a client. Interim responses (1xx, but not
/// 101) are skipped, as many as limits::interim_answers says. Folded fields are unfolded (RFC 9112,
/// 5.2), unless they tell where the body ends. Refused besides: any transfer coding but chunked,
/// and what exceeds the limits.
class response_parser : public detail::parser_core {
 public:
  explicit response_parser(const limits& l = {}) noexcept;

  /// Names the request the next response answers; a response to HEAD has no body. Call it before
  /// feeding.
  void expect(const method& asked) noexcept { to_head_ = asked == method::head; }

  std::size_t feed(std::string_view bytes);
  /// The connection has ended. Completes a body that lasts until then; makes any other unfinished
  /// message failed().
  void finish() noexcept { parser_core::finish(); }

  http::response& message() noexcept { return message_; }
  const http::response& message() const noexcept { return message_; }
  /// The connection may carry another request. Valid when done().
  bool keep_alive() const noexcept { return may_stay(); }

  void next() noexcept;

 private:
  std::size_t interim_ = 0;  // skipped before this response
  http::response message_;
};

}  // namespace heddle::http
