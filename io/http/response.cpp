// SPDX-License-Identifier: MIT
// What a response says of itself beside its body.
#include <heddle/core/errors.h>
#include <heddle/io/http/cookies.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/writer.h>

#include <algorithm>

namespace heddle::http {

response& response::set_cookie(const cookie& c) {
  headers.add("Set-Cookie", c.text());
  return *this;
}

response& response::delete_cookie(const cookie& c) { return set_cookie(c.deletion()); }

response& response::etag(std::string_view tag, bool weak) {
  const bool fine = std::ranges::all_of(
      tag, [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '"' && c != 0x7f; });
  if (!fine) throw bad_value("an ETag holds no quotes, blanks and control characters");
  headers.set("ETag", (weak ? "W/\"" : "\"") + std::string(tag) + "\"");
  return *this;
}

response& response::last_modified(std::int64_t seconds) {
  headers.set("Last-Modified", format_http_date(static_cast<std::time_t>(seconds)));
  return *this;
}

}  // namespace heddle::http
