// SPDX-License-Identifier: MIT
// What the cases of HTTP applications share: an application that is asked without a port.
#pragma once

#include "../conformance.h"

#include <heddle/io/http/extract.h>
#include <heddle/io/http/router.h>
#include <heddle/io/http/test_client.h>

#include <string>
#include <string_view>
#include <utility>

namespace conformance {

namespace http = h::http;

/// A handler that says this.
inline auto says(std::string text) {
  return [text = std::move(text)](http::request&) { return http::response::text(text); };
}

/// The answer as "200 text", and ", Allow=..." if it has that field.
inline std::string shown(const http::response& r) {
  std::string all = std::to_string(r.status) + " " + r.body;
  while (all.ends_with('\n')) all.pop_back();
  if (const auto allow = r.headers.get("allow")) all += ", Allow=" + std::string(*allow);
  return all;
}

inline h::task<std::string> asked(http::test_client& c, std::string_view m, std::string target,
                                  http::headers fields, std::string body) {
  auto asking = c.send(http::method(m), std::move(target), std::move(fields), std::move(body));
  const http::response answer = co_await asking;
  co_return shown(answer);
}
inline h::task<std::string> asked(http::test_client& c, std::string_view m, std::string target) {
  return asked(c, m, std::move(target), http::headers(), std::string());
}
inline h::task<std::string> got(http::test_client& c, std::string target) {
  return asked(c, "GET", std::move(target));
}

/// All that comes until the connection ends.
inline h::task<std::string> read_to_end(h::connection& c) {
  std::string all;
  try {
    for (;;) {
      const bool more = co_await c.reader.fill();
      if (!more) break;
      all += c.reader.buffered();
      c.reader.consume(c.reader.buffered().size());
    }
  } catch (const std::system_error& e) { all += "(" + e.code().message() + ")"; }
  co_return all;
}

/// Waits until `wanted` has come, or the end. Yields all that came.
inline h::task<std::string> read_until(h::connection& c, std::string wanted) {
  std::string all;
  while (all.find(wanted) == std::string::npos) {
    const bool more = co_await c.reader.fill();
    if (!more) break;
    all += c.reader.buffered();
    c.reader.consume(c.reader.buffered().size());
  }
  co_return all;
}

}  // namespace conformance
