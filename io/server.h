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
#include <heddle/io/server_stats.h>
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
/// A client that comes while its listener's loop is busy is taken in by another loop that is idle.
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
  /// be served there. Further calls do nothing. With max_connections, clients that wait for a place
  /// are served as places become free, and later ones are refused after that.
  ///
  /// Sockets that were given (start_server_on) may be open in other processes, too. They are closed
  /// here, and go on to listen there. So if nobody else has them, a client that comes in the moment
  /// of the close is reset (on io_uring: until the loop has looked at the kernel once more).
  /// Cost      accepts all that wait, on the calling loop
  void close();
  /// Closes the server as close() does, but leaves the listening sockets to others who have them,
  /// too: another process that was passed them, or a duplicate. Those go on to accept on them, and
  /// clients that wait in the kernel are theirs. The path of a Unix server stays. So a new process
  /// takes over, and no client is refused or reset: pass sockets() to it
  /// (unix_socket::send_descriptors), wait until it accepts (start_server_on), then call this. If
  /// nobody else has them, clients that wait in the kernel are reset.
  void hand_over();
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
  /// What it has done so far; also after it was closed.
  [[nodiscard]] server_stats stats() const;
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
[[nodiscard]] task<server> start_server_on_erased(detail::connection_handler handler,
                                                  std::vector<int> sockets, server_options options);
[[nodiscard]] task<server> start_unix_server_on_erased(detail::connection_handler handler,
                                                       int socket, server_options options);

/// Listens at `host` ("" or "*": every address; a name: each of its addresses) and `port` (0: the
/// kernel picks one, the same for all addresses). `handler` is called for each connection with
/// (stream_reader, stream_writer) or (connection), from all loops at the same time.
/// Throws    std::system_error that names the address; then nothing listens. bad_value for an
///           option out of its range
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
/// Listens at a Unix socket. A socket at the path that no process has bound is replaced; any other
/// file there is an error (EADDRINUSE). Of several servers that start at one path at the same time
/// one wins, and the others get that error. A socket that is bound and does not listen is waited
/// for, up to 10 s. To replace a socket takes a lock of its directory (flock), so the directory
/// must be readable then.
template <class F>
[[nodiscard]] task<server> start_unix_server(F&& handler, std::string path,
                                             server_options options) {
  return start_unix_server_erased(detail::make_connection_handler(std::forward<F>(handler)),
                                  std::move(path), std::move(options));
}

/// Accepts on sockets that listen already (TCP or Unix): those of given_sockets(), or those of
/// another server. They belong to the server from then on, and are made non-blocking, and closed on
/// exec. They may be open in other processes, too: see server::close(). Options for addresses mean
/// nothing here, and a Unix path is not removed.
/// Throws    bad_value, if one of them is no stream socket that listens: then all are as they were,
///           and still the caller's. std::system_error, std::bad_alloc: they are closed.
template <class F>
[[nodiscard]] task<server> start_server_on(F&& handler, std::vector<int> sockets,
                                           server_options options) {
  return start_server_on_erased(detail::make_connection_handler(std::forward<F>(handler)),
                                std::move(sockets), std::move(options));
}
/// The same on one Unix socket that is bound to a path or a name. It need not listen yet. It is the
/// server's alone: as with start_unix_server(), the server ends listening, and removes the path if
/// options.cleanup_socket is set. Mode, group and options.prepare mean nothing here.
/// Throws    bad_value, if it is no Unix stream socket that is bound: then it is still the caller's
template <class F>
[[nodiscard]] task<server> start_unix_server_on(F&& handler, int socket, server_options options) {
  return start_unix_server_on_erased(detail::make_connection_handler(std::forward<F>(handler)),
                                     socket, std::move(options));
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
template <class F>
[[nodiscard]] task<server> start_server_on(F&& handler, std::vector<int> sockets) {
  return start_server_on(std::forward<F>(handler), std::move(sockets), server_options());
}
template <class F>
[[nodiscard]] task<server> start_unix_server_on(F&& handler, int socket) {
  return start_unix_server_on(std::forward<F>(handler), socket, server_options());
}

}  // namespace heddle
