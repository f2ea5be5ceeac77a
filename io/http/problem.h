// SPDX-License-Identifier: MIT
// Answers that say what went wrong in a form for programs (RFC 9457), and answers that lead
// elsewhere. A handler returns them or throws them.
//
//   if (!found) throw http::problem(404, "no such user");
//   return http::redirect(http::see_other, "/users");
#pragma once

#include <heddle/io/http/message.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// What went wrong, as application/problem+json.
/// Throws  status_text() of an unknown status is "Unknown"; bad_value when it becomes an answer if
///         the status has not three digits
class problem {
 public:
  explicit problem(int status, std::string detail = {})
      : status_(status), detail_(std::move(detail)) {}

  /// A URI that names this kind of problem ("about:blank" if none is given).
  problem& type(std::string uri) {
    type_ = std::move(uri);
    return *this;
  }
  /// A short text for this kind of problem. Without one it is the status' phrase.
  problem& title(std::string text) {
    title_ = std::move(text);
    return *this;
  }
  /// A URI for this occurrence of it.
  problem& instance(std::string uri) {
    instance_ = std::move(uri);
    return *this;
  }
  /// A further member of the object: a text.
  problem& with(std::string name, std::string text) {
    members_.emplace_back(std::move(name), std::move(text));
    return *this;
  }

  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
  /// The object as JSON text. Bytes that are not UTF-8 are replaced.
  [[nodiscard]] std::string json() const;
  operator response() const;  // a problem is an answer

 private:
  int status_;
  std::string detail_;
  std::string type_;
  std::string title_;
  std::string instance_;
  std::vector<std::pair<std::string, std::string>> members_;
};

/// The statuses of redirections. `see_other` asks for a GET; `temporary` and `permanent` keep the
/// method and the body.
enum redirection : int {
  moved_permanently = 301,
  found = 302,
  see_other = 303,
  temporary_redirect = 307,
  permanent_redirect = 308
};

/// Where a redirection may lead. `local`: not to another host.
enum class redirect_to : unsigned char { anywhere, local };

/// An answer that leads to another URL.
class redirect {
 public:
  /// What may not stand in a URL is percent-encoded; escapes stay. Throws bad_value for an empty
  /// location, for a status that is none of the five, and, with redirect_to::local, for a location
  /// that does not begin with exactly one "/".
  redirect(redirection status, std::string_view location,
           redirect_to where = redirect_to::anywhere);
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& location() const noexcept { return location_; }
  operator response() const;  // a redirection is an answer

 private:
  int status_;
  std::string location_;
};

}  // namespace heddle::http
