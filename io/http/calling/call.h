// SPDX-License-Identifier: MIT
// Internal to io.
// One request of an application, from its call to its answer. Redirections and repeats belong to
// it.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/http/calling/connections.h>
#include <heddle/io/http/client_hooks.h>
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
  std::optional<http::proxy> proxy;                           // in place of the session's
  std::optional<http::retry> retry;                           // in place of the session's
  std::optional<std::vector<client_middleware>> middlewares;  // likewise
  std::vector<past_answer> history;
  tls_context tls;
  std::string server_name;
  std::optional<http::auth> auth;  // in place of the session's
  http::headers dressed;           // the fields of this hop: those of the call, and what it adds
  bool expect_continue = false;
  bool strange_origin = false;  // a redirection has left the first origin
  bool is_dressed = false;
  bool decodes = false;   // content codings are undone
  bool answered = false;  // a challenge was answered: a second 401 is the answer
  bool upgrades = false;  // it opens a WebSocket
  unsigned retried = 0;
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
  bool streams = false;  // its user reads the body
  sent_part sent = sent_part::nothing;
  request_phase phase = request_phase::pool;  // the clock that runs
  std::unique_ptr<call_extras> extras;

  [[nodiscard]] call_extras& more() {
    if (!extras) extras = std::make_unique<call_extras>();
    return *extras;
  }
  /// The fields that go out.
  [[nodiscard]] const http::headers& sent_fields() const noexcept {
    return extras && extras->is_dressed ? extras->dressed : fields;
  }
  [[nodiscard]] const http::auth& auth() const noexcept {
    return extras && extras->auth ? *extras->auth : pool->options.auth;
  }
  [[nodiscard]] const http::timeouts& clocks() const noexcept {
    return extras && extras->clocks ? *extras->clocks : pool->options.timeouts;
  }
  [[nodiscard]] bool has_source() const noexcept { return extras && extras->source; }
  [[nodiscard]] const http::retry* retry() const noexcept {
    if (extras && extras->retry) return &*extras->retry;
    return pool->options.retry ? &*pool->options.retry : nullptr;
  }
  /// The one that this hop goes through, or null.
  [[nodiscard]] const http::proxy::endpoint* proxy() const {
    const auto& options = pool->options;
    return (extras && extras->proxy ? *extras->proxy : options.proxy).choose(to);
  }
  [[nodiscard]] bool upgrades() const noexcept { return extras && extras->upgrades; }
  /// A proxy of HTTP connects us to the server, and does not see the request.
  [[nodiscard]] bool needs_tunnel() const noexcept { return to.scheme == "https" || upgrades(); }
  [[nodiscard]] const client_trace* trace() const noexcept { return pool->options.trace.get(); }
  /// A body goes out with it.
  [[nodiscard]] bool has_body() const noexcept { return !body.empty() || has_source(); }
  /// "GET http://h/a", for errors.
  [[nodiscard]] std::string name() const {
    return std::string(method.text()) + " " + address.substr(0, address.find('#'));
  }
};

/// A call that has not begun, once more.
[[nodiscard]] inline call copy_of(const call& c) {
  call copy;
  copy.pool = c.pool;
  copy.method = c.method;
  copy.address = c.address;
  copy.to = c.to;
  copy.fields = c.fields;
  copy.body = c.body;
  copy.total = c.total;
  copy.redirects = c.redirects;
  if (c.extras) copy.extras = std::make_unique<call_extras>(*c.extras);
  return copy;
}

/// True for a redirection that this request follows.
[[nodiscard]] inline bool is_followed(const call& c, int status, const http::headers& h) {
  if (status < 301 || status > 308 || c.redirects == 0) return false;
  const bool redirects = status <= 303 || status >= 307;
  return redirects && h.contains("location");
}

}  // namespace heddle::http::detail
