// SPDX-License-Identifier: MIT
// Internal to io.
// One request of an application, from its call to its answer. Redirections and repeats belong to
// it.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/http/calling/connections.h>
#include <heddle/io/http/client_response.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/options.h>
#include <heddle/io/http/upload.h>
#include <heddle/io/http/url.h>
#include <heddle/io/tls_context.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http::detail {

/// What few requests have.
struct call_extras {
  upload source;
  std::optional<http::timeouts> clocks;  // in place of the session's
  std::optional<bool> check_status;
  std::vector<past_answer> history;
  tls_context tls;
  std::string server_name;
  bool expect_continue = false;
  bool strange_origin = false;  // a redirection has left the first origin
};

/// It stands in the frame of the task that runs it, and is used by that task alone.
struct call {
  heddle::detail::counted_ptr<connection_pool> pool;
  http::method method;
  std::string address;  // as the answer will show it: without user and password
  url to;
  http::headers fields;
  std::string body;
  std::optional<any_duration> total;
  unsigned redirects = 0;
  bool streams = false;    // its user reads the body
  bool hand_over = false;  // the last answer is not read to its end here: see streams
  bool expected = false;   // the server has said 100, or the wait for that is over
  sent_part sent = sent_part::nothing;
  request_phase phase = request_phase::pool;  // the clock that runs
  std::unique_ptr<call_extras> extras;

  [[nodiscard]] call_extras& more() {
    if (!extras) extras = std::make_unique<call_extras>();
    return *extras;
  }
  [[nodiscard]] const http::timeouts& clocks() const noexcept {
    return extras && extras->clocks ? *extras->clocks : pool->options.timeouts;
  }
  [[nodiscard]] bool has_source() const noexcept { return extras && extras->source; }
  /// A body goes out with it.
  [[nodiscard]] bool has_body() const noexcept { return !body.empty() || has_source(); }
  /// "GET http://h/a", for errors.
  [[nodiscard]] std::string name() const {
    return std::string(method.text()) + " " + address.substr(0, address.find('#'));
  }
};

/// True for a redirection that this request follows.
[[nodiscard]] inline bool is_followed(const call& c, int status, const http::headers& h) {
  if (status < 301 || status > 308 || c.redirects == 0) return false;
  const bool redirects = status <= 303 || status >= 307;
  return redirects && h.contains("location");
}

}  // namespace heddle::http::detail
