// SPDX-License-Identifier: MIT
// What a session does around its requests: repeat them, hand them through middlewares, and tell
// what happens to them.
//
//   http::session_options o;
//   o.retry = http::retry::idempotent();
//   o.middlewares.push_back([](http::request_head& r, http::next_step next)
//                               -> h::task<http::client_stream> {
//     r.headers.set("X-Id", "7");
//     auto going_on = next(r);
//     co_return co_await going_on;
//   });
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/http/client_response.h>
#include <heddle/io/http/message.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

namespace detail {
struct chain;
}

/// When a request is sent again: if no connection came about, or for some statuses. A body that can
/// be read once only is never sent again. The total time of the request spans all tries and waits.
/// The order of the fields is API.
struct retry {
  /// So many tries beside the first one.
  unsigned most = 2;
  std::vector<int> statuses = {429, 502, 503, 504};
  /// Also POST, PATCH and other methods that may do something twice.
  bool any_method = false;
  /// Before the first repeat; each wait is twice the one before, less up to a half at random. An
  /// answer's Retry-After counts more.
  any_duration delay = std::chrono::milliseconds(200);
  /// No wait is longer, whatever the answer says.
  any_duration max_delay = std::chrono::seconds(10);

  /// Two repeats of GET, HEAD, PUT, DELETE, OPTIONS and TRACE.
  [[nodiscard]] static retry idempotent() { return {}; }
};

/// A request as middlewares see and change it. A body that streams is not shown, and stays.
struct request_head {
  http::method method;
  std::string url;
  http::headers headers;
  std::string body;
};

/// The rest of the way of a request: the next middleware, or the wire. May be called any number of
/// times; a copy is as good.
class next_step {
 public:
  next_step(std::shared_ptr<detail::chain> c, std::size_t at) noexcept
      : chain_(std::move(c)), at_(at) {}
  /// `request` is copied before this returns.
  [[nodiscard]] task<client_stream> operator()(const request_head& request) const;

 private:
  std::shared_ptr<detail::chain> chain_;
  std::size_t at_;
};

/// Stands between a request and the wire. May change the request, answer it by itself, or call
/// `next` once or more. What it throws is the error of the request.
using client_middleware = std::function<task<client_stream>(request_head& request, next_step next)>;

/// Is told what happens to requests; what is empty costs nothing. Called by the tasks that make the
/// requests, on any loop, by several at one time. What a hook throws is the error of its request.
/// The order of the fields is API.
struct client_trace {
  /// A hop begins: the request itself, one that follows a redirection, or a repeat.
  std::function<void(const method& m, std::string_view url)> request = {};
  /// It has to wait for a place in the pool.
  std::function<void(std::string_view url)> waits = {};
  /// It got a connection; `kept`: one that has carried a request before.
  std::function<void(std::string_view url, bool kept)> connected = {};
  /// The head of an answer has come.
  std::function<void(std::string_view url, int status)> answer = {};
};

}  // namespace heddle::http
