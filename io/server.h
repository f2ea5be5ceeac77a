// SPDX-License-Identifier: MIT
// A server on all loops: one listener a loop, one task a connection.
//
//   auto s = co_await h::start_server(handle, "127.0.0.1", 0);
//   co_await s.serve_forever();
//
// `handle` is h::task<>(h::stream_reader, h::stream_writer), for example. A port of 0: the kernel
// picks one, and s.port() tells it.
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
/// Each connection has a movable task of its own, made on the loop that accepted it. What becomes
/// of errors:
///   - A handler that throws is reported through the runtime's exception handler ("unhandled
///     exception in connection handler"), and its connection is closed. The server goes on. A
///     cancelled_error of another task that the handler awaited is such an error, too.
///   - A handler that was cancelled itself ends in silence.
///   - A connection that cannot be taken in (its task, its memory, its watch) is dropped and
///     reported, and the next one is accepted. If the next one fails too, accepting pauses for a
///     second, and that is reported. Connections wait in the kernel meanwhile.
///   - If descriptors or memory run out (EMFILE), connections wait in the kernel, and that is
///     reported once. Accepting goes on within 0.1 s of a descriptor being freed.
///   - The accepting tasks stand in all_tasks(). To cancel one of them closes the server.
/// Thread-safety  everything, from any loop of its runtime
class server {
 public:
  server() noexcept;
  server(server&&) noexcept;
  server& operator=(server&& other) noexcept;
  ~server();

  /// Starts accepting, if server_options::start_serving was false. Further calls do nothing. Throws
  /// usage_error on a closed server.
  void start_serving();
  [[nodiscard]] bool is_serving() const noexcept;
  /// Serves until the calling task is cancelled or the server is closed. Then it closes the server,
  /// waits as wait_closed() does, and throws cancelled_error. It throws that also when close() was
  /// called elsewhere, as in asyncio. Throws usage_error if it runs already, or on a closed server.
  [[nodiscard]] task<> serve_forever();
  /// Stops accepting. Connections that live go on. Clients that the kernel has let in already are
  /// accepted and served, none of them is reset; a client whose handshake is half done may be.
  /// Later ones are refused. Outside of a loop those in the kernel are dropped, since nothing can
  /// be served there. Further calls do nothing.
  /// Cost      accepts all that wait, on the calling loop
  void close();
  /// Waits until the server is closed, its last connection has ended, and its last handler has
  /// ended. So whatever handlers use may be destroyed afterwards. Called by a handler, it does not
  /// wait for handlers that wait here too: the calling one is among them.
  [[nodiscard]] task<> wait_closed();
  /// Closes every connection; all that is buffered is sent. Handlers see the end of their
  /// connection and are not cancelled; wait_closed() waits for them.
  void close_clients();
  /// Resets every connection; all that is buffered is dropped. Handlers as above.
  void abort_clients();
  /// Cancels the handlers of all connections; on a closed server also those that begin later.
  /// asyncio has no such function: its users keep the tasks themselves.
  void cancel_handlers();

  /// The addresses that it listens at, each once, although there is a listener for each loop. None
  /// on a closed server.
  [[nodiscard]] std::vector<address> addresses() const;
  /// The port of the first address; 0 for a Unix server, or a closed one.
  [[nodiscard]] std::uint16_t port() const;
  /// The listening descriptors; none on a closed server.
  [[nodiscard]] std::vector<int> sockets() const;
  /// Connections that live now.
  [[nodiscard]] std::size_t connections() const noexcept;
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(core_); }

 private:
  friend struct detail::server_handle;
  detail::owned<detail::server_handle> core_;
};

/// The same as below, for wrappers that have erased their handler's type already.
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
/// Throws    std::system_error that names the address; then nothing listens. bad_value for a
///           backlog or a limit below 1
template <class F>
[[nodiscard]] task<server> start_server(F&& handler, std::string host, port_number port,
                                        server_options options) {
  return start_server_erased(detail::make_connection_handler(std::forward<F>(handler)),
                             std::move(host), port, std::move(options));
}
/// The same at several hosts: at all of them; if one fails, at none.
template <class F>
[[nodiscard]] task<server> start_server(F&& handler, std::vector<std::string> hosts,
                                        port_number port, server_options options) {
  return start_server_erased(detail::make_connection_handler(std::forward<F>(handler)),
                             std::move(hosts), port, std::move(options));
}
/// Listens at a Unix socket. A socket at the path that no process listens at is replaced; any other
/// file there is an error.
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
