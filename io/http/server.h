// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/stream.h>

#include <array>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace heddle::http {

namespace detail {
class conversation;
class engine;
struct engine_handle;
class slot;
}  // namespace detail

/// Thrown by a handler, it becomes the answer: `throw status_error(404, "no such user")`.
class status_error : public std::runtime_error {
 public:
  explicit status_error(int status, const std::string& what = {})
      : std::runtime_error(what), status_(status) {}
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  int status_;
};

/// Where a streamed body goes, piece by piece.
class body_writer {
 public:
  /// Sends a piece, and waits while the client takes its time. The piece may go when the call has
  /// returned. Throws std::system_error when the client is gone, at the first call after the server
  /// has heard of it; usage_error for more than the promised length.
  [[nodiscard]] task<> write(std::string_view piece);

 private:
  friend class detail::conversation;
  body_writer(stream_writer& out, std::string& buffer, detail::slot& slot,
              bool ends_with_client) noexcept
      : out_(out), buffer_(buffer), slot_(slot), ends_with_client_(ends_with_client) {}

  stream_writer& out_;
  std::string& buffer_;  // the head waits here for the first piece
  detail::slot& slot_;
  std::uint64_t left_ = 0;  // of the promised length
  const bool ends_with_client_;
  bool chunked_ = false;
  bool counted_ = false;
  bool begun_ = false;  // the head is gone
  bool gone_ = false;   // the client is
};

/// What a route calls. It may return a `response`, or a `task<response>` if it has to wait for
/// something.
///
/// Answers to pipelined requests leave in one send. What is ready is sent before a handler that may
/// wait is called, so that no answer waits for another request: for the fastest pipelining, return
/// a `response` where nothing needs awaiting.
///
/// Cancel  The task that runs a handler is the connection's. It is cancelled when the client has
///         reset the connection and the method is GET, HEAD, OPTIONS or TRACE (noticed within half
///         a second; other methods finish their work, and their answer is dropped), and when the
///         grace of stop() is over. A client that has only ended its sending is still answered.
///         cancelled_error of another task that the handler awaited is an error like any other.
/// Throws  status_error is an answer; anything else is 500 and a report.
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
  direct direct_;  // one of the two
  waiting waiting_;
};

/// The order of the fields is API: fields are appended, never reordered.
struct server_options {
  /// What one request may cost; beyond it the answer is 413, 414 or 431.
  http::limits limits = {};
  /// From the first byte of a request to the end of its head; then 408.
  any_duration header_timeout = std::chrono::seconds(10);
  /// Between two pieces of a request's body; then 408.
  any_duration body_timeout = std::chrono::seconds(30);
  /// Between two requests on a kept connection, and before the first; then it is closed.
  any_duration idle_timeout = std::chrono::seconds(75);
  /// For a client that takes nothing of what is sent; then the connection is reset, at most a
  /// quarter of the time later. A client that takes a little now and then may take for ever.
  any_duration write_timeout = std::chrono::seconds(30);
  /// Connections that wait in the kernel to be accepted, for each listener.
  int backlog = 1024;
  /// One listener for each loop.
  bool reuse_port = true;
  /// A connection that the server ends is read from until the client has ended it too: a close with
  /// unread bytes is a reset, which would take the last answer with it. At most so long between two
  /// pieces, and at most so long in all.
  any_duration linger_timeout = std::chrono::seconds(2);
  any_duration linger_time = std::chrono::seconds(30);
  /// Connections that are open at once; the next get 503 that names this limit, and are closed.
  std::size_t max_connections = 100'000;
  /// Bytes of large requests' bodies, and of answers that clients have not taken yet, that all
  /// connections hold together. Beyond it requests get 503 that names this limit.
  std::size_t max_held_bytes = std::size_t{1} << 30;
};

/// Times, counted in buckets an eighth of a power of two wide.
struct latency_histogram {
  static constexpr std::size_t size = 8 * 40;  // up to 2^40 ns, some 18 minutes
  std::array<std::uint64_t, size> counts{};

  static std::size_t bucket(std::uint64_t ns) noexcept;
  static std::uint64_t upper_end(std::size_t bucket) noexcept;  // in ns
  [[nodiscard]] std::uint64_t total() const noexcept;
  /// The time in ns that this share of all (0 to 1) does not exceed; 0 if there are none.
  [[nodiscard]] std::uint64_t percentile(double share) const noexcept;
  latency_histogram& operator-=(const latency_histogram& earlier) noexcept;
};

struct server_stats {
  std::uint64_t requests = 0;  // answered
  std::uint64_t refused =
      0;  // of these, those that never reached a handler: malformed, too large, too late
  std::size_t connections = 0;  // open now
  std::size_t working = 0;      // of these, at work on a request, and not waiting for their client
  latency_histogram latency;    // from the arrival of a request's last bytes to its answer's first
};

/// An HTTP/1.1 server on all loops: keep-alive, pipelining, chunked bodies both ways, limits and
/// time-outs.
///
///     http::server s;
///     s.get("/hello", [](http::request&) { return http::response::text("Hello!"); });
///     s.get("/sleep", [](http::request& r) -> h::task<http::response> {
///       co_await h::sleep(1s);
///       co_return http::response::text("slept at " + r.path);
///     });
///     co_await s.start("127.0.0.1", 8080);
///     co_await s.serve_forever();
///
/// Handlers are called from all loops at once. A handler that throws is answered for with 500 and
/// reported through the runtime's exception handler; status_error is an answer of its own. HEAD
/// goes to the handler of GET, its body stays here. "OPTIONS *" is answered with 204 and Allow; a
/// path without the method with 405 and Allow; a method that neither a standard nor a route names
/// with 501. A route without the method leaves the request to a shorter prefix with it.
///
/// What clients can cost is bounded: one request by `limits`; a connection by what its stream holds
/// unread, one body, and one answer more than 64 KiB that the client has not taken yet, since no
/// handler that may wait is called before; all of them by max_connections and max_held_bytes.
/// Between pipelined requests that take long, others have their turn.
/// No memory is kept for an idle connection but
/// its stream and its task. Routes are added before start(). Copies are not made; the server must
/// outlive serve_forever() and stop().
class server {
 public:
  explicit server(server_options options = {});
  server(server&&) noexcept;
  server& operator=(server&& other) noexcept;
  ~server();

  /// Exactly this path. The latest of two equal routes stands. Throws bad_value for a path without
  /// "/", usage_error once started.
  server& route(method m, std::string path, handler h);
  /// Every path that begins so; the longest prefix wins, an exact route before any.
  server& prefix(method m, std::string path, handler h);
  server& get(std::string path, handler h) {
    return route(method::get, std::move(path), std::move(h));
  }
  server& post(std::string path, handler h) {
    return route(method::post, std::move(path), std::move(h));
  }
  /// Files below a directory, as file_root says, read on other threads. Throws std::system_error if
  /// there is no such directory.
  server& files(std::string path, const std::string& directory);

  /// Begins to listen, on every loop. Throws std::system_error naming the address.
  [[nodiscard]] task<> start(std::string host, port_number port);
  /// Until it is cancelled or stopped; then it throws cancelled_error, as heddle::server's does.
  [[nodiscard]] task<> serve_forever();
  /// Accepts no more, closes idle connections (new ones after a moment, for their first request may
  /// be on its way), and lets those at work finish what they do. After `grace` it resets what is
  /// left and cancels the handlers. It returns when every handler has ended, so that what they use
  /// may be destroyed then: a handler that swallows its cancellation is waited for. A handler that
  /// calls it is not waited for and not cancelled, but its own answer is lost.
  [[nodiscard]] task<> stop(any_duration grace = std::chrono::seconds(5));

  /// Started and not stopped.
  [[nodiscard]] bool is_serving() const noexcept;
  /// Where it listens; 0 before start().
  [[nodiscard]] std::uint16_t port() const;
  /// Cheap; from any thread.
  [[nodiscard]] server_stats stats() const;

 private:
  [[nodiscard]] detail::engine& at() const noexcept;

  heddle::detail::owned<detail::engine_handle> engine_;
};

}  // namespace heddle::http
