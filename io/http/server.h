// SPDX-License-Identifier: MIT
// An HTTP/1.1 server on all loops.
//
//   http::server s;
//   s.get("/hello", [](http::request& r) {
//     return http::response::text("hello " + r.query("name").value_or("nobody"));
//   });
//   co_await s.start("127.0.0.1", 0);
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/options.h>
#include <heddle/io/http/router.h>
#include <heddle/io/http/server_stats.h>
#include <heddle/io/http/site.h>
#include <heddle/io/http/websocket.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace heddle::http {

namespace detail {
class engine;
struct engine_handle;
}  // namespace detail

/// An HTTP/1.1 server: keep-alive, pipelining, chunked bodies both ways, limits and time-outs.
///
/// Handlers are called from all loops at once. A handler that throws is answered for with 500 and
/// reported through the runtime's exception handler; status_error is an answer of its own. HEAD
/// goes to the handler of GET, and the body of its answer is not sent. What no route takes is
/// answered so:
///   204 and Allow  OPTIONS of a path that has routes, and "OPTIONS *"
///   404            no route has the path
///   405 and Allow  routes have the path, but none of them the method
///   501            neither a standard nor a route names the method
/// A route without the method leaves the request to a shorter prefix that has it.
///
/// What clients can cost is bounded. A request: by `limits`. A connection: by what its stream holds
/// unread, one body, and the answers that its client has not taken yet. These are at most 64 KiB
/// and one answer, for a handler that may wait is called only when the client has taken all but
/// 64 KiB. All connections: by max_connections and max_held_bytes. Requests at work: by
/// max_requests, if it is set. Between pipelined requests that take long, other connections have
/// their turn. An idle connection keeps no memory but its stream and its task.
///
/// Cost      A request is received with one system call and answered with one (epoll).
/// Lifetime  Routes are added before start(). The server must outlive the tasks of serve_forever()
///           and stop(). It is not copied.
/// Thread-safety  stats() from any thread; the rest one call at a time, except stop(), end_grace()
///                and the questions beside serve_forever() and stop().
class server {
 public:
  explicit server(server_options options = {});
  explicit server(http::router root, server_options options = {});
  server(server&&) noexcept;
  server& operator=(server&& other) noexcept;
  ~server();

  /// The words of its root router, which router.h describes.
  http::route route(method m, std::string path, handler h) {
    return root().route(std::move(m), std::move(path), std::move(h));
  }
  http::route get(std::string path, handler h) { return root().get(std::move(path), std::move(h)); }
  http::route post(std::string path, handler h) {
    return root().post(std::move(path), std::move(h));
  }
  http::route put(std::string path, handler h) { return root().put(std::move(path), std::move(h)); }
  http::route patch(std::string path, handler h) {
    return root().patch(std::move(path), std::move(h));
  }
  http::route delete_(std::string path, handler h) {
    return root().delete_(std::move(path), std::move(h));
  }
  http::route any(std::string path, handler h) { return root().any(std::move(path), std::move(h)); }
  http::route prefix(method m, std::string path, handler h) {
    return root().prefix(std::move(m), std::move(path), std::move(h));
  }
  http::route files(std::string path, const std::string& directory) {
    return root().files(std::move(path), directory);
  }
  http::route files(std::string path, const std::string& directory, files_options options) {
    return root().files(std::move(path), directory, std::move(options));
  }
  server& nest(std::string prefix, http::router below) {
    root().nest(std::move(prefix), std::move(below));
    return *this;
  }
  server& mount(http::router other) {
    root().mount(std::move(other));
    return *this;
  }
  server& use(middleware m) {
    root().use(std::move(m));
    return *this;
  }
  server& fallback(handler h) {
    root().fallback(std::move(h));
    return *this;
  }
  template <class T>
  server& state(std::shared_ptr<T> value) {
    root().state(std::move(value));
    return *this;
  }
  template <class E, class F>
  server& on_error(F f) {
    root().template on_error<E>(std::move(f));
    return *this;
  }
  server& on_prepare(detail::prepare_hook f) {
    root().on_prepare(std::move(f));
    return *this;
  }
  /// A handle of the root router.
  [[nodiscard]] http::router root() const;
  template <class F>
  server& websocket(std::string path, F h, ws_options options) {
    root().websocket(std::move(path), std::move(h), std::move(options));
    return *this;
  }
  template <class F>
  server& websocket(std::string path, F h) {
    return websocket(std::move(path), std::move(h), ws_options());
  }

  /// Begins to listen, on every loop. Port 0: the kernel picks one. Throws std::system_error naming
  /// the address; usage_error the second time.
  [[nodiscard]] task<> start(std::string host, port_number port);
  /// The same at several sites, each with its own TLS: server_options::tls does not count here. If
  /// one fails, none listens, and the error names it. Throws bad_value for none.
  [[nodiscard]] task<> start(std::vector<site> sites);
  [[nodiscard]] task<> start(site at);
  /// Waits until it is cancelled or the server is stopped, and throws cancelled_error then.
  /// Cancelled, it stops the server as stop(grace) does. (heddle::server::serve_forever waits for
  /// its connections without a limit: it cannot know which of them are idle.) Throws usage_error
  /// before start(), once stopped, and if it runs already.
  ///
  ///   co_await server.start("0.0.0.0", 8080);
  ///   co_await server.serve_forever();  // SIGINT cancels the task of run(), and so stops it
  /// Cancel  the first stops the server; by a second one it is no longer waited for
  [[nodiscard]] task<> serve_forever(any_duration grace = std::chrono::seconds(5));
  /// Begins with server_options::stop_notice: readiness() says 503, and all else goes on.
  ///
  /// Then it accepts no more, closes idle connections, and lets those at work finish. New
  /// connections have a moment more, for their first request may be under way. WebSockets are told
  /// (1001), and streams of events end; then they are waited for like all others. After `grace` it
  /// cancels the handlers, and cuts off what is no handler's. Handlers have
  /// server_options::cleanup_time to clean up, and to answer if they want. Then their connections
  /// are reset.
  ///
  /// It returns when every handler has ended, so what handlers use may be destroyed then. A handler
  /// that swallows its cancellation is waited for. A handler that calls stop() is neither waited
  /// for nor cancelled, but its own answer is lost.
  /// Cancel  the server stops all the same, with the grace, and is not waited for
  [[nodiscard]] task<> stop(any_duration grace = std::chrono::seconds(5));

  /// The notice and the grace of a stop() that is under way are over now. Does nothing otherwise
  /// but resetting all connections.
  void end_grace();

  /// Leaves the listening sockets to others that have them too, as heddle::server::hand_over()
  /// says, and accepts no more. Connections go on; stop() ends them. Clients that connect meanwhile
  /// are the others': none is refused or reset.
  void hand_over();
  /// The listening descriptors of all sites, to be passed to another process. None once stopped.
  [[nodiscard]] std::vector<int> sockets() const;

  /// Started and not stopped.
  [[nodiscard]] bool is_serving() const noexcept;
  /// Where it listens, at the first site; 0 before start() and once stopped.
  [[nodiscard]] std::uint16_t port() const;
  /// The addresses of all sites.
  [[nodiscard]] std::vector<address> addresses() const;
  /// Cheap; from any thread.
  [[nodiscard]] server_stats stats() const;

 private:
  [[nodiscard]] detail::engine& at() const noexcept;
  void close_all() noexcept;

  heddle::detail::owned<detail::engine_handle> engine_;
};

}  // namespace heddle::http
