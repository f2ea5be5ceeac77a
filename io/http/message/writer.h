// SPDX-License-Identifier: MIT
// Writes HTTP messages and dates as text.
//
//   std::string out;
//   write_response(out, response::text("a"), {});
//
// All of it appends to a string that the caller sends, so that the answers to a whole pipelined
// read leave in one send. Names and values of header fields need no check here: class headers lets
// in nothing that could end a line.
#pragma once

#include <heddle/io/http/message.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http {

/// What the writer of a response needs to know of the request that is answered.
struct reply_to {
  http::version version = version::http_1_1;
  bool keep_alive = true;        // client and server are willing to keep the connection
  bool head = false;             // a HEAD request: the same fields, no body
  std::string_view server = {};  // the field Server, if the answer has none of its own; "": none

  reply_to() = default;
  explicit reply_to(const request& r)
      : version(r.version), keep_alive(r.keep_alive), head(r.method == method::head) {}
};

/// True if the connection stays open behind this response: both sides are willing, and the handler
/// has not said `Connection: close`.
bool keeps_alive(const response& r, const reply_to& to) noexcept;

/// The whole response, with a Content-Length. The handler's own fields that concern framing are
/// left out, and written here as they must be. One exception: if the handler of a HEAD request, or
/// of a 304, gives a Content-Length, that one is written. Throws bad_value for a status that has
/// not three digits, and for an interim one (1xx, but not 101). Nothing is appended then.
void write_response(std::string& out, const response& r, const reply_to& to);

/// The head alone, for a body that follows in pieces. `r.body` is ignored. Says how the pieces go:
///   none         there is no body
///   length       as they are; a length is given
///   chunked      through write_chunk() and write_last_chunk(), to an HTTP/1.1 client
///   until_close  as they are, until the connection closes, to an HTTP/1.0 client
/// Throws as write_response().
enum class body_framing { none, length, chunked, until_close };
body_framing write_head(std::string& out, const response& r, const reply_to& to,
                        std::optional<std::uint64_t> length);
/// For an empty piece nothing is written: an empty chunk would end the body.
void write_chunk(std::string& out, std::string_view piece);
void write_last_chunk(std::string& out);

/// A client's request. The Host field comes first, from `extra` or else from `authority`. A
/// Content-Length is written if there is a body, or if the method usually has one (POST, PUT,
/// PATCH). Throws bad_value if target or authority are empty, or hold what could end the line.
void write_request(std::string& out, const method& m, std::string_view target,
                   std::string_view authority, const headers& extra, std::string_view body);

/// The head alone, for a body that follows in pieces: as they are with a length, else through
/// write_chunk() and write_last_chunk(). Throws as write_request().
void write_request_head(std::string& out, const method& m, std::string_view target,
                        std::string_view authority, const headers& extra,
                        std::optional<std::uint64_t> length);

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string format_http_date(std::time_t seconds);
/// Reads that form, and the two obsolete ones of RFC 9110, 5.6.7. Nothing for any other text.
std::optional<std::time_t> parse_http_date(std::string_view text) noexcept;

}  // namespace heddle::http
