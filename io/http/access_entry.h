// SPDX-License-Identifier: MIT
// What an access log is told of a request.
//
//   [](const http::access_entry& e) { count(e.pattern, e.status, e.time); }
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/http/message.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace heddle::http {

/// One request and what became of it. Texts of the client are cut at access_log_options::text_limit
/// and are not escaped: they may hold any byte that a header field may hold.
struct access_entry {
  std::string remote = {};   // request::remote(): the address of the client; "" over a Unix socket
  std::string method = {};   // "" if what came was no request
  std::string target = {};   // as it stood in the request line
  std::string pattern = {};  // request::pattern(): no client can choose it; "" if no route took it
  http::version version = version::http_1_1;
  int status = 0;           // 0: no answer was sent, for the client or the handler was gone
  std::uint64_t bytes = 0;  // of the answer's body, as it was sent
  bool complete = true;     // false: the answer broke off, or there was none
  duration time = {};       // from the first byte of the request to the last one of its answer
  std::int64_t at = 0;      // when it began: microseconds since 1970
  std::string referer = {};
  std::string user_agent = {};
  std::string id = {};        // of the middleware request_id()
  std::uint64_t dropped = 0;  // so many entries were lost just before this one
};

/// The order of the fields is API: fields are appended, never reordered.
struct access_log_options {
  /// Entries that wait for the sink. The next ones are dropped. Throws bad_value for 0.
  std::size_t queue_limit = 10'000;
  /// Bytes of each text of an entry. Longer ones end with "...".
  std::size_t text_limit = 1024;
};

}  // namespace heddle::http
