// SPDX-License-Identifier: MIT
#pragma once

// Everything here appends to a string that the caller sends: the answers to a whole pipelined read
// end up in one send. Header names and values need no check any more: class headers lets in nothing
// that could end a line.

#include <heddle/io/http/message.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http {

/// What a response must know of the request it answers.
struct reply_to {
  http::version version = version::http_1_1;
  bool keep_alive = true;  // the server is willing, too
  bool head = false;       // a HEAD request: same fields, no body

  reply_to() = default;
  explicit reply_to(const request& r)
      : version(r.version), keep_alive(r.keep_alive), head(r.method == method::head) {}
};

/// True if the connection stays open behind this response: both sides are willing. (A handler is
/// not if it says `Connection: close`.)
bool keeps_alive(const response& r, const reply_to& to) noexcept;

/// The whole response with a Content-Length. Fields of the handler that concern framing are left
/// out: they are written here, as they must be. (The exception: the Content-Length of an answer to
/// HEAD, or of a 304, is the handler's if he gives one.)
void write_response(std::string& out, const response& r, const reply_to& to);

/// Only the head, for a body that follows in pieces (`r.body` is ignored). With a length, the
/// pieces are written as they are; without one, they go through write_chunk() and
/// write_last_chunk() to an HTTP/1.1 client, and to an HTTP/1.0 client as they are until the
/// connection closes. Says which.
enum class body_framing { none, length, chunked, until_close };
body_framing write_head(std::string& out, const response& r, const reply_to& to,
                        std::optional<std::uint64_t> length);
/// Nothing for an empty piece, which would end the body.
void write_chunk(std::string& out, std::string_view piece);
void write_last_chunk(std::string& out);

/// A request of a client. Host comes from `authority` unless `extra` has one; the body gets a
/// Content-Length when there is one or the method usually has one. Throws bad_value if
/// target or authority hold what would end the line.
void write_request(std::string& out, const method& m, std::string_view target,
                   std::string_view authority, const headers& extra, std::string_view body);

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string format_http_date(std::time_t seconds);
/// Takes that form and the two obsolete ones of RFC 9110, 5.6.7.
std::optional<std::time_t> parse_http_date(std::string_view text) noexcept;

}  // namespace heddle::http
