// SPDX-License-Identifier: MIT
// What a body of several parts may cost, and the error of one that is broken or costs more.
//
//   http::part_limits l;
//   l.parts = 10;
//   http::part_reader parts(std::move(body), content_type, l);
#pragma once

#include <heddle/io/http/errors.h>

#include <cstddef>
#include <string>

namespace heddle::http {

/// What reading parts may cost. The order of the fields is API. A number behind a limit is the
/// status with which a server answers what exceeds it.
struct part_limits {
  std::size_t parts = 1000;              // 413
  std::size_t header_bytes = 16 * 1024;  // the fields of one part: 431
  std::size_t header_count = 50;         // 431
};

/// A body of parts that is malformed, ends early, or costs more than a limit.
class part_error : public payload_error {
 public:
  part_error(int status, const std::string& what)
      : payload_error(status == 400 ? errc::broken_body : errc::body_too_large, what),
        status_(status) {}
  /// What a server answers: 400, 413, 415 or 431.
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  int status_;
};

}  // namespace heddle::http
