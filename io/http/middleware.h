// SPDX-License-Identifier: MIT
// What stands around handlers: it sees each request before, and each answer behind.
//
//   http::router r;
//   r.use([](http::request& asked, http::next go_on) -> h::task<http::response> {
//     h::task<http::response> work = go_on(asked);
//     http::response answer = co_await work;
//     answer.headers.set("X-Served-By", "heddle");
//     co_return answer;
//   });
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/task.h>
#include <heddle/io/http/message.h>

#include <cstddef>

namespace heddle::http {

namespace detail {
struct handler_chain;
}

/// What stands within a middleware: the next middleware, and in the end the handler. It may be
/// called once, more often, or not at all. It is cheap to copy, and valid while the request is.
class next {
 public:
  next(const detail::handler_chain& of, std::size_t at) noexcept : chain_(&of), at_(at) {}
  /// Yields the answer. What a handler or a middleware throws as an answer (status_error, problem,
  /// redirect, and what on_error() names) comes as that answer; so do 404, 405 and the other
  /// refusals of the server. Other exceptions pass, and the caller may catch them.
  /// Cancel  as the handler
  /// Cost    one coroutine frame
  [[nodiscard]] task<response> operator()(request& r) const;

 private:
  const detail::handler_chain* chain_;
  std::size_t at_;
};

/// Runs around handlers, before the body of the request is read (request::load_body() reads it).
/// One that does not call `next` answers itself, and the handler does not run. If it throws, that
/// is as if its handler had thrown.
/// Thread-safety  called from all loops at once
using middleware = std::function<task<response>(request&, next)>;

}  // namespace heddle::http
