// SPDX-License-Identifier: MIT
// Middlewares that most applications want. Each is a plain one: what it does, a user's could do.
//
//   http::router r;
//   r.use(http::request_id()).use(http::compress()).use(http::time_limit(2s));
//
// All of them may be given to router::use() and route::use(), also more than once.
// Thread-safety  made by one thread; then they run on all loops at once
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/clock.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/middleware.h>

#include <cstddef>
#include <string>
#include <vector>

namespace heddle::http {

/// What request_id() keeps with a request: `r.find<request_id_text>()->text`.
struct request_id_text {
  std::string text;
};
/// Gives each request an id: the client's, if it is at most 64 letters, digits, "-", "_" or ".",
/// else a random one of 32 hexadecimal digits. It goes out with the answer, in the same field.
[[nodiscard]] middleware request_id();
[[nodiscard]] middleware request_id(std::string field);

/// Cancels what stands behind it when the time has passed, and answers 503. (408 would say that the
/// client was slow.) Throws bad_value for a time that is not positive.
[[nodiscard]] middleware time_limit(any_duration most);

/// In place of limits::body_bytes and of the route's own. A body that says its length is refused
/// before it is read; another one when it is longer.
[[nodiscard]] middleware body_limit(std::size_t bytes);

/// Which pages of other origins may read the answers (the CORS protocol of WHATWG Fetch).
struct cors_options {
  std::vector<std::string> origins = {"*"};  // "https://a.example"; "*": all
  std::vector<std::string> methods = {"GET", "HEAD", "POST"};
  std::vector<std::string> request_fields = {};  // that a page may send; "*": all
  std::vector<std::string> answer_fields = {};   // that a page may read
  bool credentials = false;                      // cookies too; not with the origin "*"
  any_duration max_age = std::chrono::seconds(600);
};
/// Answers preflight requests, and adds the fields of CORS to the other answers: to errors, too. A
/// request of another origin is served all the same, and its page cannot read the answer.
/// Throws  bad_value for credentials with the origin "*"
[[nodiscard]] middleware cors(cors_options options);
[[nodiscard]] middleware cors();

/// X-Content-Type-Options: nosniff, X-Frame-Options: DENY, Referrer-Policy: no-referrer,
/// Cross-Origin-Opener-Policy: same-origin; and Strict-Transport-Security over https. A field that
/// the answer has already stays.
[[nodiscard]] middleware security_headers();

/// How often a client may ask. `burst` requests at once, and then `requests` in each `per`.
struct rate {
  std::size_t requests = 100;
  any_duration per = std::chrono::seconds(1);
  std::size_t burst = 100;
  /// So many clients are remembered. Beyond it those who asked longest ago are forgotten.
  std::size_t clients = 10'000;
};
/// Answers 429 with Retry-After to a client (request::remote()) that asks more often. Throws
/// bad_value for a number of 0.
[[nodiscard]] middleware rate_limit(rate how);

/// Where a path has no route, and the same path with single slashes, or with or without the slash
/// at its end, has one: a redirection there (308), with the query. Never to another host.
[[nodiscard]] middleware normalize_path();

/// Answers 400 to a request whose query has a broken escape ("%zz"). Without it such a pair is left
/// out of request::query_params().
[[nodiscard]] middleware strict_query();

struct compress_options {
  std::size_t least = 1024;  // shorter bodies go as they are
  int level = -1;            // the coding's usual one
};
/// Compresses answers as Accept-Encoding asks, by q values, with Vary. Left alone: short bodies,
/// types that are compressed already, answers with a Content-Encoding, with Content-Range, with
/// "no-transform", and event streams. If the client accepts neither a coding nor the plain body:
/// 406. A strong ETag becomes a weak one. Bodies beyond 64 KiB, and pieces of streams beyond
/// 16 KiB, are compressed on another thread.
[[nodiscard]] middleware compress(compress_options options);
[[nodiscard]] middleware compress();

struct decode_options {
  /// What clients may send. Empty: all that were built.
  std::vector<coding> codings = {};
};
/// Undoes the Content-Encoding of requests, whole and streamed. The limit of a route
/// (limits::body_bytes, route::body_limit, body_limit()) counts for the coded bytes, and again for
/// what they decode to: beyond it the answer is 413. What cannot be decoded is 400, a coding that
/// is not allowed 415 with Accept-Encoding. The fields Content-Encoding and Content-Length are gone
/// when handlers see the request. Without this middleware a handler gets the bytes as they came.
/// Cost    decoders (codings.h). The body is decoded in steps of 64 KiB, between which others have
///         their turn
/// Throws  bad_value for a coding that was not built
[[nodiscard]] middleware decode_bodies(decode_options options);
[[nodiscard]] middleware decode_bodies();

/// Asks the conditions of GET and HEAD (conditions.h) when there is an answer 200 with an ETag or a
/// Last-Modified: 304 without its body if the client has that state, 412 if it wants another one.
/// Other methods are not touched, for their work is done then.
[[nodiscard]] middleware conditional();

}  // namespace heddle::http
