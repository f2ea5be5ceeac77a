// SPDX-License-Identifier: MIT
// Takes HTTP messages from a stream of bytes, one at a time.
//
//   request_parser parser;
//   text.remove_prefix(parser.feed(piece));
//   if (parser.failed()) return std::to_string(parser.error().status);
//   if (!parser.done()) return "unfinished";
//   const auto& r = parser.message();
//
// Problem     Bytes arrive in pieces of any size. One piece may hold many pipelined messages, or a
//             single byte of one.
// Rejected    One call for each header or piece of a body: callers would put messages together
//             again, each in its own way. Parsing all of a piece at once: it needs a list of
//             messages, and a limit on the list.
// Chosen      A parser that stops behind one message. It never looks at a socket or a clock. The
//             server feeds it, and decides what to do with the rest.
// Promised    What feed() reports does not depend on how the bytes were cut. A kept parser
//             allocates nothing for messages like the ones before.
#pragma once

#include <heddle/io/http/message.h>
#include <heddle/io/http/message/limits.h>
#include <heddle/io/http/message/parser_state.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http {

namespace detail {

/// What requests and responses have in common: llhttp, the limits, and the judgement of what llhttp
/// lets pass (bare LF, folded lines, repeated spaces in the start line, other protocols' start
/// lines).
class parser_core : protected parser_state {
 public:
  bool done() const noexcept { return phase_ == phase::done; }
  bool failed() const noexcept { return phase_ == phase::failed; }
  /// No byte of a message has been seen yet: a connection may close here without loss.
  bool idle() const noexcept { return phase_ == phase::start; }
  /// Start line and fields are complete and accepted. The body may still be under way.
  bool head_done() const noexcept { return phase_ >= phase::body && phase_ <= phase::done; }
  const parse_error& error() const noexcept { return error_; }
  /// Bytes of empty lines that were skipped before the message. A caller who puts the parser away
  /// while it is idle gives this number to the next parser, so that the limit holds over all.
  unsigned empty_bytes() const noexcept { return empty_lines_; }
  void set_empty_bytes(unsigned n) noexcept { empty_lines_ = n; }
  /// Holds from the next message on.
  void set_limits(const limits& l) noexcept { limits_ = within_reach(l); }

  /// For a body that is not kept whole. If on, feed() takes nothing beyond a complete head, until
  /// it is called again. So the caller can look at the head before the body comes. What comes of
  /// the body then is taken out by take_body(), after each feed(). Without a call the body gathers
  /// in the message as usual. Holds until it is set again.
  void set_in_pieces(bool on) noexcept { in_pieces_ = on; }
  /// Moves what has come of the body into `into`, whose memory is used for what comes next. All of
  /// it counts for limits::body_bytes.
  void take_body(std::string& into) noexcept {
    taken_ += body_->size();
    into.swap(*body_);
    body_->clear();
  }
  /// Another limits::body_bytes for the message whose head is done, and for those after it. False:
  /// what has come, or the Content-Length, is above it already.
  [[nodiscard]] bool set_body_limit(std::size_t most) noexcept;
  [[nodiscard]] std::size_t body_limit() const noexcept { return limits_.body_bytes; }
  /// The Content-Length of a message that has a body. None: the body is chunked, or lasts until the
  /// connection ends. Valid when head_done(), before the body is fed.
  [[nodiscard]] std::optional<std::uint64_t> declared_length() const noexcept;

 protected:
  explicit parser_core(const limits& l) noexcept : parser_state(l) {}
  ~parser_core() = default;

  std::size_t feed(std::string_view bytes);
  void finish() noexcept;

 private:
  std::size_t skip_empty_lines(std::string_view bytes) noexcept;
  std::size_t feed_method(std::string_view bytes);
  std::size_t feed_head(std::string_view bytes);
  std::size_t run_head(std::string_view bytes);
  [[nodiscard]] std::size_t find_bare_lf(std::string_view bytes) const noexcept;
  std::size_t run_tabs(std::string_view bytes);
};

}  // namespace detail

/// Takes requests from a byte stream, one at a time.
///
/// Refused are, besides what exceeds the limits:
///   400  a missing, repeated or malformed Host; folded fields; both Content-Length and
///        Transfer-Encoding; a repeated Content-Length; a Transfer-Encoding that does not end with
///        chunked; bad chunks; bare LF; control characters; HTTP/0.9
///   501  a method of more than 64 bytes; a transfer coding before chunked
///   505  any version but 1.0 and 1.1
/// Any token is a method: which methods are known is the routes' business.
/// Cost      no allocation for messages like the ones before
/// Throws    std::bad_alloc
/// Thread-safety  one task at a time
class request_parser : public detail::parser_core {
 public:
  explicit request_parser(const limits& l = {}) noexcept;

  /// Consumes bytes up to the end of one message, and says how many. All are consumed, unless the
  /// message is done or refused. From then on none are consumed.
  std::size_t feed(std::string_view bytes) { return parser_core::feed(bytes); }

  /// Complete when done(); its start line and headers already when head_done().
  http::request& message() noexcept { return message_; }
  const http::request& message() const noexcept { return message_; }

  /// True if the client waits for "100 Continue" before it sends the body.
  bool expects_continue() const noexcept;

  /// Makes it ready for the next message. Memory is kept.
  void next() noexcept;

 private:
  http::request message_;
};

/// Takes responses from a byte stream, one at a time, for a client. Interim responses (1xx, but not
/// 101) are skipped, as many as limits::interim_answers says. Folded fields are unfolded (RFC 9112,
/// 5.2), unless they say where the body ends: then the response is refused. Refused besides: any
/// transfer coding but chunked, a repeated Content-Length, both Content-Length and
/// Transfer-Encoding, bare LF, and what exceeds the limits. set_tolerance() moves that a little.
/// Cost, Throws, Thread-safety  as request_parser
class response_parser : public detail::parser_core {
 public:
  explicit response_parser(const limits& l = {}) noexcept;

  /// Names the method that the next response answers: a response to HEAD has no body. Call it
  /// before feeding.
  void expect(const method& asked) noexcept { to_head_ = asked == method::head; }
  /// Holds from the next response on.
  void set_tolerance(tolerance t) noexcept { tolerance_ = t; }

  std::size_t feed(std::string_view bytes);
  /// The connection has ended. A body that lasts until then is complete. Any other unfinished
  /// message has failed().
  void finish() noexcept { parser_core::finish(); }

  http::response& message() noexcept { return message_; }
  const http::response& message() const noexcept { return message_; }
  /// The connection may carry another request. Valid when done().
  bool keep_alive() const noexcept { return keep_alive_; }
  /// Interim answers that were skipped before this response. A client that waits for "100
  /// Continue" asks for it.
  std::size_t interim_answers() const noexcept { return interim_; }

  void next() noexcept;

 private:
  std::size_t interim_ = 0;  // skipped before this response
  http::response message_;
};

}  // namespace heddle::http
