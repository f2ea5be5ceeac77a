// SPDX-License-Identifier: MIT
// Unix sockets that pass descriptors beside their bytes: streams, packets in order (seqpacket) and
// datagrams. For bytes alone open_unix_connection() of stream.h has readers and writers.
//
//   auto [ours, theirs] = h::unix_socket::make_pair(h::unix_kind::stream);
//   co_await ours.send_descriptors("the log", log_descriptor);
//   h::unix_message m = co_await theirs.receive();
//   m.descriptors.at(0);  // another descriptor of the same open file
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/owned_descriptor.h>
#include <heddle/io/peer_credentials.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle {

namespace detail {
class message_core;
}

enum class unix_kind {
  stream,     ///< bytes in order, without borders
  seqpacket,  ///< messages in order, with their borders and an end
  datagram,   ///< messages, each to the socket that it is sent to; no end
};

/// What one receive has taken.
struct unix_message {
  std::string bytes;
  /// Working copies of what the sender passed, each closed on exec.
  std::vector<owned_descriptor> descriptors;
  /// Some descriptors are missing: there were more than asked for, or this process has as many open
  /// as it may (RLIMIT_NOFILE). Those that are missing are closed. The bytes are all there.
  bool descriptors_lost = false;
  bool truncated = false;  ///< the message was longer than asked for: the rest is lost
  /// The peer has ended its direction; nothing follows. An empty message is not the end.
  bool end = false;
  address sender;  ///< of a datagram; empty for an unnamed socket
  /// Of the process that sent a datagram or a packet.
  std::optional<peer_credentials> credentials;
};

/// A Unix socket. A copy names the same socket. The socket is closed by close(), or with the last
/// copy once no task is in a call of it.
///
/// Descriptors that come where nobody asks for them are closed.
/// Ordering  Messages of several senders are never mixed, and go in the order of their calls.
/// Cancel    A cancelled receive loses nothing. A cancelled send has sent nothing, but on a stream
///           a part may have gone: then close it.
/// Throws    std::system_error with the call and the address. ECANCELED: the socket was closed,
///           perhaps while the call waited. usage_error for a socket that was moved from.
/// Thread-safety  Any number of tasks may call, on any loop of the runtime.
class unix_socket {
 public:
  /// The most descriptors that one message carries: the kernel's limit.
  static constexpr std::size_t most_descriptors = 253;
  /// The most bytes that receive() takes at once, if it is not told a number.
  static constexpr std::size_t default_most_bytes = 65536;

  // Each of these throws also no_running_loop. Cost: one descriptor an end, one watch.

  /// Two connected sockets.
  [[nodiscard]] static std::pair<unix_socket, unix_socket> make_pair(unix_kind kind);
  /// Connects to `path`; one that begins with '\0' is an abstract name. Waits while the backlog of
  /// the listener is full. A datagram socket gets a name of its own, so that the peer can answer.
  [[nodiscard]] static task<unix_socket> connect(std::string path, unix_kind kind);
  /// A datagram socket with that name. close() does not remove the path.
  [[nodiscard]] static unix_socket bind(const std::string& path);
  /// Takes over a connected Unix socket, or a datagram socket, which becomes non-blocking. Throws
  /// bad_value for another descriptor, and has closed it then.
  [[nodiscard]] static unix_socket adopt(owned_descriptor socket);

  /// Sends a message; on a stream: all of the bytes. They must stay until the call ends.
  [[nodiscard]] task<void> send(std::string_view bytes) const;
  /// The same with descriptors, 1 to 253, and at least one byte: else bad_value. They stay the
  /// caller's, who may close them when the call has ended. On a stream they travel with the first
  /// byte: the receive that takes that byte tells them.
  [[nodiscard]] task<void> send_descriptors(std::string_view bytes,
                                            std::span<const int> descriptors) const;
  [[nodiscard]] task<void> send_descriptors(std::string_view bytes, int descriptor) const;
  /// The same as a datagram to `to`. Without descriptors: as send().
  [[nodiscard]] task<void> send_to(std::string_view bytes, std::span<const int> descriptors,
                                   address to) const;

  /// Waits for a message; on a stream: for bytes, of which it takes as many as are there.
  /// Cost      one system call and one allocation
  [[nodiscard]] task<unix_message> receive() const;
  /// The same for `most_bytes` and `descriptors` at the most: 1 to 2^30, and 0 to 253; else
  /// bad_value.
  [[nodiscard]] task<unix_message> receive(std::size_t most_bytes, std::size_t descriptors) const;

  /// Tells the peer that nothing more will come; it may still send. Not for datagrams.
  void write_eof() const;
  /// Ends the socket. Tasks that wait in a call get ECANCELED. May be called again.
  void close() const noexcept;
  /// Who is connected: peer_credentials.h. nullopt for datagrams that are not connected.
  [[nodiscard]] std::optional<peer_credentials> peer() const;
  [[nodiscard]] const address& local_address() const;
  [[nodiscard]] unix_kind kind() const;
  /// The descriptor; -1 after close(). Do not read from it or close it.
  [[nodiscard]] int native_handle() const;
  /// False: it was moved from.
  [[nodiscard]] bool valid() const noexcept { return core_ != nullptr; }

 private:
  friend class unix_listener;
  explicit unix_socket(std::shared_ptr<detail::message_core> core) noexcept;
  [[nodiscard]] detail::message_core& use() const;
  [[nodiscard]] const std::shared_ptr<detail::message_core>& share() const;

  std::shared_ptr<detail::message_core> core_;
};

/// Listens for connections of unix_socket. close(), or the last copy, ends it.
/// Throws, Thread-safety  as unix_socket
class unix_listener {
 public:
  /// Listens at `path`, or at an abstract name. A socket that stands at the path is an error
  /// (EADDRINUSE). close() removes the path, unless another file stands there by then. Throws
  /// bad_value for datagrams, which have no connections.
  [[nodiscard]] static unix_listener listen(const std::string& path, unix_kind kind);

  /// Waits for a connection.
  /// Cancel    a connection that is there stays for the next accept
  [[nodiscard]] task<unix_socket> accept() const;
  void close() const noexcept;
  [[nodiscard]] const address& local_address() const;

 private:
  explicit unix_listener(std::shared_ptr<detail::message_core> core) noexcept;
  std::shared_ptr<detail::message_core> core_;
};

}  // namespace heddle
