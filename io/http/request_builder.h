// SPDX-License-Identifier: MIT
// What one request of a session brings, told word by word. The last word is the method, or open().
//
//   auto found = co_await client.at("users").query("id", 7).timeout(2s).get();
//   auto made = co_await client.at("users").json(user).basic("me", "secret").post();
//   auto big = co_await client.at("dump").open();
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/http/auth.h>
#include <heddle/io/http/client_hooks.h>
#include <heddle/io/http/client_response.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/form.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/json_fwd.h>
#include <heddle/io/http/multipart.h>
#include <heddle/io/http/options.h>
#include <heddle/io/http/proxy.h>
#include <heddle/io/http/upload.h>
#include <heddle/io/tls_context.h>

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

class session;
class websocket;
struct ws_options;

namespace detail {
struct call;
struct draft;
}  // namespace detail

/// A request that is not sent yet. Its words check what they are told, and throw bad_value. The
/// last word takes all of it: a second one is usage_error. The session may go before the task that
/// it returns has ended.
///
/// Cost      two allocations more than the session's own verbs
/// Throws    bad_value for names and values that no field may hold; usage_error for a second kind
///           of body. Then nothing is sent.
/// Thread-safety  a value, for one thread at a time
class request_builder {
 public:
  request_builder(request_builder&&) noexcept;
  request_builder& operator=(request_builder&&) noexcept;
  ~request_builder();

  /// Appends a parameter to the query, percent-encoded. Order and repetition are kept.
  request_builder& query(std::string_view name, std::string_view value);
  template <std::integral T>
  request_builder& query(std::string_view name, T value) {
    return query(name, std::string_view(std::to_string(value)));
  }
  /// Appends text to the query as it is ("a=%2B&b=c+d").
  request_builder& raw_query(std::string_view text);

  /// Adds a field. Fields of the session with this name are not sent.
  request_builder& header(std::string_view name, std::string_view value);
  request_builder& headers(const http::headers& all);
  /// Sends a cookie with this request alone. All cookies go out in one field.
  request_builder& cookie(std::string_view name, std::string_view value);
  /// Do not send these fields by itself, such as Content-Type. Framing and Host are always sent.
  request_builder& skip_auto_headers(std::initializer_list<std::string_view> names);
  /// "Authorization: Basic ...". Throws bad_value for a name with ":", and for a second one.
  request_builder& basic(std::string_view user, std::string_view password);
  /// "Authorization: Bearer ...".
  request_builder& bearer(std::string_view token);
  /// In place of session_options::auth.
  request_builder& auth(http::auth how);

  // One of these. The Content-Type is theirs unless a header names another.
  request_builder& body(std::string bytes);  // application/octet-stream
  request_builder& body(upload source);      // application/octet-stream
  request_builder& text(std::string utf8);   // text/plain; charset=utf-8
  /// A value of nlohmann::json, or of what it converts from. Throws bad_value for text that is not
  /// UTF-8. Include <nlohmann/json.hpp>.
  request_builder& json(const json_value& value);
  /// JSON that is text already. It is not checked.
  request_builder& json_text(std::string text);
  /// Fields as an HTML form sends them (application/x-www-form-urlencoded).
  request_builder& form(const http::form& fields);
  /// Parts (multipart/form-data). Their files are looked at when the request begins.
  request_builder& multipart(http::multipart parts);

  /// Sends the body in that content coding, and says so. Without a body it does nothing.
  request_builder& compress(coding how);

  /// The total time, in place of session_options::timeout. std::nullopt: no limit.
  request_builder& timeout(std::optional<any_duration> total);
  /// The other clocks, in place of session_options::timeouts.
  request_builder& timeouts(const http::timeouts& clocks);
  /// How many redirections are followed, also for HEAD. 0: the first answer is the answer.
  request_builder& redirects(unsigned most);
  /// Throw response_error for a status of 400 and above, or do not.
  request_builder& check_status(bool on = true);
  /// Send the body only when the server asks for it ("Expect: 100-continue"), or has been silent
  /// for a second. If its answer comes before, the body is not sent.
  request_builder& expect_continue();
  /// In place of session_options::proxy; empty: none.
  request_builder& proxy(http::proxy through);
  /// In place of session_options::retry.
  request_builder& retry(http::retry how);
  /// In place of session_options::middlewares; empty: none.
  request_builder& middlewares(std::vector<client_middleware> all);
  /// For https: in place of session_options::tls. Its connections are its own.
  request_builder& tls(tls_context context);
  /// For https: the name that is asked for and checked, in place of the URL's host.
  request_builder& server_name(std::string name);
  /// For websocket(): subprotocols to offer, the dearest first, behind ws_options::protocols.
  request_builder& protocols(std::initializer_list<std::string_view> names);

  // The whole answer.
  [[nodiscard]] task<client_response> get();
  [[nodiscard]] task<client_response> head();
  [[nodiscard]] task<client_response> post();
  [[nodiscard]] task<client_response> put();
  [[nodiscard]] task<client_response> patch();
  [[nodiscard]] task<client_response> delete_();
  [[nodiscard]] task<client_response> options();
  [[nodiscard]] task<client_response> request(method m);
  /// The head of the answer. Its body is read by the caller.
  [[nodiscard]] task<client_stream> open();
  [[nodiscard]] task<client_stream> open(method m);
  /// Opens a WebSocket. The URL begins with ws, wss, http or https. Fields, cookies, credentials, a
  /// digest, proxies, TLS, redirections and retries are as for a request; middlewares are not
  /// called. ws_options::open_timeout is in place of the total time. While it opens it has a place
  /// in the pool; an open WebSocket has none. Include <heddle/io/http/websocket.h>.
  /// Cancel    closes the connection
  /// Throws    handshake_error for any answer but 101 and what is followed; bad_value for options
  ///           and fields that a handshake cannot have; usage_error for a body; what requests throw
  [[nodiscard]] task<http::websocket> websocket();
  [[nodiscard]] task<http::websocket> websocket(ws_options options);

 private:
  friend class session;
  explicit request_builder(std::unique_ptr<detail::draft> d) noexcept;
  detail::draft& draft();
  detail::draft take();
  request_builder& take_body(std::string bytes, std::string_view type);

  std::unique_ptr<detail::draft> draft_;
};

}  // namespace heddle::http
