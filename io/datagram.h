// SPDX-License-Identifier: MIT
// Datagrams: UDP over IPv4 and IPv6, and Unix datagrams.
//
//   auto socket = h::datagram_socket::bind(h::address::ip("127.0.0.1", 0));
//   h::datagram question = co_await socket.receive();
//   co_await socket.send_to(question.bytes, question.sender);
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/address.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace heddle {

namespace detail {
class datagram_core;
}

struct datagram_options {
  bool reuse_port = false;  ///< several sockets share one address, and the kernel spreads senders
  bool broadcast = false;   ///< sending to broadcast addresses is allowed
};

/// What one receive has taken.
struct datagram_info {
  address sender;          ///< empty for an unnamed Unix socket
  std::size_t size = 0;    ///< how many bytes were stored
  std::size_t length = 0;  ///< how many bytes the datagram had
  bool truncated = false;  ///< the datagram was longer than its room: the rest is lost
};

/// One datagram, with its bytes.
struct datagram : datagram_info {
  std::string bytes;
};

/// A socket for datagrams. A copy names the same socket. The socket is closed by close(), or with
/// the last copy once no task is in a call of it.
/// Ordering  A datagram goes to exactly one of the tasks that receive.
/// Cancel    A cancelled receive loses no datagram. A cancelled send that waited has sent nothing.
/// Throws    std::system_error with the call and the address. ECONNREFUSED comes once, and only on
///           a connected socket: its peer's port was closed. The socket works on after each error.
///           ECANCELED: the socket was closed, perhaps while the call waited.
/// Thread-safety  Any number of tasks may call, on any loop of the runtime.
class datagram_socket {
 public:
  /// Largest datagram that receive() stores whole. That of UDP is 65507 bytes over IPv4.
  static constexpr std::size_t most_bytes = 65536;

  /// A socket bound to `at`; port 0 lets the kernel choose. Throws also no_running_loop.
  /// Cost      one descriptor, one watch
  static datagram_socket bind(const address& at, const datagram_options& options = {});
  /// A socket that sends to `peer`, and hears `peer` alone. Throws also no_running_loop.
  static datagram_socket connect(const address& peer, const datagram_options& options = {});

  /// Sends one datagram to the connected peer. Waits while the kernel has no room. The bytes must
  /// stay until the call ends. Throws EMSGSIZE for a datagram that is too long.
  [[nodiscard]] task<void> send(std::string_view bytes) const;
  /// Sends one datagram to `to`, as send().
  [[nodiscard]] task<void> send_to(std::string_view bytes, address to) const;
  /// Waits for a datagram.
  /// Cost      one system call and one allocation a datagram that is there
  [[nodiscard]] task<datagram> receive() const;
  /// Waits for a datagram, and stores it into `room`. The rest of a longer one is lost, and told.
  /// Cost      no allocation but for the task
  [[nodiscard]] task<datagram_info> receive_into(std::span<char> room) const;

  /// Ends the socket. Tasks that wait in a call get ECANCELED. May be called again.
  void close() const noexcept;
  /// The address that the socket was bound to; also after close().
  [[nodiscard]] const address& local_address() const noexcept;

 private:
  explicit datagram_socket(std::shared_ptr<detail::datagram_core> core) noexcept;
  std::shared_ptr<detail::datagram_core> core_;
};

}  // namespace heddle
