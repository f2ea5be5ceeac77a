// SPDX-License-Identifier: MIT
// What a route calls, and what a handler may use: its errors, and the way to stream a body.
//
//   s.get("/hello", [](http::request& r) {
//     return http::response::text("hello " + r.query("name").value_or("nobody"));
//   });
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/task.h>
#include <heddle/io/http/message.h>
#include <heddle/io/stream.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace heddle::detail {
class open_file;
}

namespace heddle::http {

namespace detail {
class conversation;
class engine;
struct file_sender;
class watched;
}  // namespace detail

/// Thrown by a handler, it becomes the answer: `throw http::status_error(409, "no tea")`.
class status_error : public std::runtime_error {
 public:
  explicit status_error(int status, const std::string& what = {})
      : std::runtime_error(what), status_(status) {}
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  int status_;
};

/// Where a handler's `response::stream` writes its body, piece by piece.
/// Thread-safety  one call at a time, by the task that was given it.
class body_writer {
 public:
  /// Sends a piece, and waits while the client takes its time. The piece may go when the call has
  /// returned. An empty piece sends nothing.
  /// Cancel  the piece is sent all the same, and the handler may go on to write. If the handler
  ///         ends behind a cancelled write, its connection is reset.
  /// Throws  std::system_error when the client is gone, at the first call after the server has
  ///         heard of it, or when the client takes nothing for write_timeout; usage_error for more
  ///         than the promised length.
  [[nodiscard]] task<> write(std::string_view piece);

 private:
  friend class detail::conversation;
  friend struct detail::file_sender;
  /// Sends `n` bytes of the file from `offset` on, which are a part of the promised length. As
  /// write(), but a cancelled call leaves the rest of the file unsent.
  [[nodiscard]] task<> send_part(std::shared_ptr<heddle::detail::open_file> from,
                                 std::uint64_t offset, std::uint64_t n);
  body_writer(stream_writer& out, std::string& buffer, detail::watched& watched,
              bool ends_with_client) noexcept
      : out_(out), buffer_(buffer), watched_(watched), ends_with_client_(ends_with_client) {}

  stream_writer& out_;
  std::string& buffer_;  // the head waits here for the first piece
  detail::watched& watched_;
  std::uint64_t left_ = 0;  // of the promised length
  const bool ends_with_client_;
  bool chunked_ = false;
  bool counted_ = false;  // a length was promised
  bool begun_ = false;    // the head has been sent
  bool gone_ = false;     // the client is gone
};

/// What a route calls. A handler returns a `response`, or a `task<response>` if it has to wait for
/// something.
///
/// Answers to pipelined requests leave in one send. Before a handler that may wait is called, the
/// answers that are ready are sent: no answer waits for another request. For the fastest
/// pipelining, return a `response` where nothing needs awaiting.
///
/// Cancel  The task that runs a handler is the connection's. If the method is GET, HEAD, OPTIONS or
///         TRACE, the task is cancelled when the client has reset the connection, which is noticed
///         within half a second. With other methods a handler finishes its work, and its answer is
///         dropped. Every handler is cancelled when the grace of stop() is over. A client that has
///         only ended its sending is still answered, and no time-out of the server ends its
///         handler: put a wait_for around what may never end. A cancelled_error of another task
///         that the handler awaited is an error like any other.
/// Throws  status_error is an answer. Anything else is answered with 500 and reported.
/// Thread-safety  a handler is called from all loops at once.
class handler {
 public:
  using direct = std::function<response(request&)>;
  using waiting = std::function<task<response>(request&)>;

  template <class F>
    requires(!std::same_as<std::decay_t<F>, handler>) &&
            std::is_invocable_v<std::decay_t<F>&, request&>
  handler(F&& f) {  // implicit: routes are given lambdas
    using result = std::invoke_result_t<std::decay_t<F>&, request&>;
    if constexpr (std::convertible_to<result, response>) {
      direct_ = std::forward<F>(f);
    } else {
      static_assert(std::same_as<result, task<response>>,
                    "a handler returns http::response or heddle::task<http::response>");
      waiting_ = std::forward<F>(f);
    }
  }

 private:
  friend class detail::engine;
  direct direct_;  // one of these two is set
  waiting waiting_;
};

}  // namespace heddle::http
