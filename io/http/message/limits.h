// SPDX-License-Identifier: MIT
// What one message may cost, and how a parser says that a message costs more.
//
//   http::limits l;
//   l.body_bytes = 16 << 20;
//   http::response_parser parser(l);
#pragma once

#include <cstddef>
#include <string_view>

namespace heddle::http {

/// The number behind a limit is the status with which a server answers what exceeds it.
struct limits {
  std::size_t header_bytes = 64 * 1024;  // start line and fields, and again the trailers: 431
  std::size_t header_count = 100;        // fields: 431
  std::size_t target_bytes = 8 * 1024;   // 414
  std::size_t body_bytes = 1024 * 1024;  // 413
  // Answers with status 1xx before the final one. Beyond so many a client gives up.
  std::size_t interim_answers = 100;
};

/// Why a message was refused: the status with which a server answers, and a sentence for people.
struct parse_error {
  int status = 0;
  std::string_view reason;  // a literal
};

}  // namespace heddle::http
