// SPDX-License-Identifier: MIT
// A server on all loops: one listener a loop, one task a connection.
//
//   // h::task<> handle(h::stream_reader, h::stream_writer)
//   auto s = co_await h::start_server(handle, "127.0.0.1", 8080);
//   co_await s.serve_forever();
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/server_options.h>
#include <heddle/io/servers/connection_handler.h>
#include <heddle/io/stream.h>

#include <string>
#include <utility>
#include <vector>

namespace heddle {

namespace detail {
struct server_handle;
}

/// A handle to a running server. Destroying it closes the listeners; connections go on.
///
/// Each connection is a movable task of its own, made on the loop that accepted it. A handler that
/// throws is reported through the runtime's exception handler ("unhandled exception in connection
/// handler"), its connection is closed, and the server goes on. The same holds for a
/// cancelled_error of another task that the handler awaited; a handler that was cancelled itself
/// ends in silence. A connection that cannot be taken in (its task, its memory, its watch) is
/// dropped and reported, and the next one is accepted. When the next one fails too, or when
/// descriptors run out (EMFILE), accepting pauses for a second, which is reported; connections wait
/// in the kernel meanwhile. Cancelling the accepting tasks themselves (they are in all_tasks())
/// closes the server.
/// Thread-safety  everything, from any loop of its runtime.
class server {
 public:
  server() noexcept;
  server(server&&) noexcept;
  server& operator=(server&& other) noexcept;
  ~server();

  /// Starts accepting, if `server_options::start_serving` was false. Once; then it does nothing.
  /// Throws usage_error when closed.
  void start_serving();
  [[nodiscard]] bool is_serving() const noexcept;
  /// Serves until it is cancelled or closed. Then it closes, waits as wait_closed() does, and
  /// throws cancelled_error, as asyncio does, also when close() was called elsewhere. Throws
  /// usage_error if it runs already, or on a closed server.
  [[nodiscard]] task<> serve_forever();
  /// Stops accepting; connections that live go on. Idempotent.
  void close();
  /// Waits until it is closed, its last connection has ended, and its last handler has, so that
  /// what handlers use may be destroyed afterwards. Called by a handler, it does not wait for
  /// handlers that wait here too, itself among them.
  [[nodiscard]] task<> wait_closed();
  /// Closes every connection, sending what is buffered. Handlers see the end of their connection
  /// and are not cancelled; wait_closed() waits for them.
  void close_clients();
  /// Resets every connection, dropping what is buffered. Handlers as above.
  void abort_clients();
  /// Cancels the handlers of every connection; on a closed server also of those that begin later.
  /// asyncio has no word for it: there one keeps the tasks oneself.
  void cancel_handlers();

  /// Where it listens: one address, though there is a listener for each loop; none once closed.
  [[nodiscard]] std::vector<address> addresses() const;
  /// The port of the first address; 0 for a Unix server or when closed.
  [[nodiscard]] std::uint16_t port() const;
  /// Listening descriptors; none once closed.
  [[nodiscard]] std::vector<int> sockets() const;
  /// Connections that live now.
  [[nodiscard]] std::size_t connections() const noexcept;
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(core_); }

 private:
  friend struct detail::server_handle;
  detail::owned<detail::server_handle> core_;
};

/// For wrappers that have erased their handler's type already.
[[nodiscard]] task<server> start_server_erased(detail::connection_handler handler, std::string host,
                                               port_number port, server_options options);
[[nodiscard]] task<server> start_server_erased(detail::connection_handler handler,
                                               std::vector<std::string> hosts, port_number port,
                                               server_options options);
[[nodiscard]] task<server> start_unix_server_erased(detail::connection_handler handler,
                                                    std::string path, server_options options);

/// Listens at `host` ("" or "*": every address; a name: each of its addresses) and `port` (0: the
/// kernel picks one). `handler` is called for each connection with (stream_reader, stream_writer)
/// or (connection), from all loops at the same time.
/// Throws    std::system_error naming the address; then nothing listens. bad_value for a backlog or
///           limit below 1.
template <class F>
[[nodiscard]] task<server> start_server(F&& handler, std::string host, port_number port,
                                        server_options options) {
  return start_server_erased(detail::make_connection_handler(std::forward<F>(handler)),
                             std::move(host), port, std::move(options));
}
/// The same at each of several hosts: at all of them, or, if one fails, at none.
template <class F>
[[nodiscard]] task<server> start_server(F&& handler, std::vector<std::string> hosts,
                                        port_number port, server_options options) {
  return start_server_erased(detail::make_connection_handler(std::forward<F>(handler)),
                             std::move(hosts), port, std::move(options));
}
/// Listens at a Unix socket. A stale socket at the path is replaced; anything else there is an
/// error.
template <class F>
[[nodiscard]] task<server> start_unix_server(F&& handler, std::string path,
                                             server_options options) {
  return start_unix_server_erased(detail::make_connection_handler(std::forward<F>(handler)),
                                  std::move(path), std::move(options));
}

// Overloads and not default arguments: g++ 12 miscompiles an aggregate temporary inside an awaited
// expression.
template <class F>
[[nodiscard]] task<server> start_server(F&& handler, std::string host, port_number port) {
  return start_server(std::forward<F>(handler), std::move(host), port, server_options());
}
template <class F>
[[nodiscard]] task<server> start_server(F&& handler, std::vector<std::string> hosts,
                                        port_number port) {
  return start_server(std::forward<F>(handler), std::move(hosts), port, server_options());
}
template <class F>
[[nodiscard]] task<server> start_unix_server(F&& handler, std::string path) {
  return start_unix_server(std::forward<F>(handler), std::move(path), server_options());
}

}  // namespace heddle
