// SPDX-License-Identifier: MIT
// Datagrams: UDP over IPv4 and IPv6, and Unix datagrams.
//
//   auto socket = h::datagram_socket::bind(h::address::ip("127.0.0.1", 0));
//   h::datagram question = co_await socket.receive();
//   co_await socket.send_to(question.bytes, question.sender);
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/datagram_options.h>
#include <heddle/io/owned_descriptor.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace heddle {

namespace detail {
class message_core;
}

/// A socket for datagrams. A copy names the same socket. The socket is closed by close(), or with
/// the last copy once no task is in a call of it.
///
/// Senders that wait for room go in the order of their calls; on Unix sockets, in that order for
/// each receiver.
/// Ordering  A datagram goes to exactly one of the tasks that receive.
/// Cancel    A cancelled receive loses no datagram. A cancelled send that waited has sent nothing.
/// Throws    std::system_error with the call and the address. ECONNREFUSED comes once, and only on
///           a connected socket: its peer's port was closed. The socket works on after each error.
///           ECANCELED: the socket was closed, perhaps while the call waited.
///           usage_error for a socket that was moved from, or whose runtime has ended.
/// Thread-safety  Any number of tasks may call, on any loop of the runtime.
class datagram_socket {
 public:
  /// The most datagrams that one call of receive_many() or one step of send_many() moves.
  static constexpr std::size_t most_at_once = 64;

  // Each of these throws also no_running_loop. Cost: one descriptor, one watch.

  /// A socket bound to `at`; port 0 lets the kernel choose.
  [[nodiscard]] static datagram_socket bind(const address& at,
                                            const datagram_options& options = {});
  /// A socket that sends to `peer`, and hears `peer` alone. On Unix it gets a name, so that `peer`
  /// can answer.
  [[nodiscard]] static datagram_socket connect(const address& peer,
                                               const datagram_options& options = {});
  /// A socket for AF_INET or AF_INET6 with a port of the kernel's choice, or for AF_UNIX without a
  /// name. Throws bad_value for another family.
  [[nodiscard]] static datagram_socket open(int family, const datagram_options& options = {});
  /// Takes over a datagram socket, which becomes non-blocking. Throws bad_value if it is none, and
  /// has closed it then.
  [[nodiscard]] static datagram_socket adopt(owned_descriptor socket,
                                             const datagram_options& options = {});

  /// Sends one datagram to the connected peer. Waits while the kernel has no room. The bytes must
  /// stay until the call ends. Throws EMSGSIZE for a datagram that is too long.
  /// Cost      one system call and one task
  [[nodiscard]] task<void> send(std::string_view bytes) const;
  /// Sends one datagram to `to`, as send().
  [[nodiscard]] task<void> send_to(std::string_view bytes, address to) const;
  /// The same with a source address or a traffic class. bad_value for a traffic class above 255.
  [[nodiscard]] task<void> send_to(std::string_view bytes, address to, send_options how) const;
  /// Sends the datagrams in order, and yields how many went. Fewer than all: the next one was
  /// refused, and sending it tells the error. Throws if the first one is refused.
  /// Cost      one system call for 64
  /// Cancel    some may have gone
  [[nodiscard]] task<std::size_t> send_many(std::span<const outgoing_datagram> datagrams) const;
  /// Cuts `bytes` into datagrams of `size` bytes, the last one shorter, and sends them in order: by
  /// the kernel where it can (GSO), else one by one. `to` empty: the connected peer. bad_value for
  /// a size of 0 or above 65507. Not for Unix: usage_error.
  /// Cost      one system call for 64 datagrams or 64 KiB
  /// Cancel    some may have gone
  [[nodiscard]] task<void> send_segments(std::string_view bytes, std::size_t size,
                                         address to) const;

  /// Waits for a datagram.
  /// Cost      one system call (Unix: two) and one allocation a datagram that is there. 64 KiB for
  ///           each thread that receives
  [[nodiscard]] task<datagram> receive() const;
  /// Waits for a datagram, and stores it into `room`. The rest of a longer one is lost, and told.
  /// Cost      no allocation but for the task
  [[nodiscard]] task<datagram_info> receive_into(std::span<char> room) const;
  /// Waits for a datagram, and yields it with those that stand behind it: `most` at the most, and
  /// at most 64. bad_value for 0.
  /// Cost      one system call (Unix and coalescing sockets: one or two a datagram). Address space
  ///           of 4 MiB for each thread that calls this; memory as datagrams have touched
  [[nodiscard]] task<std::vector<datagram>> receive_many(std::size_t most) const;

  /// Joins a multicast group, or leaves it. `interface`: its name, or its index in digits; "": the
  /// kernel chooses. Datagrams of groups that other sockets have joined are not heard.
  /// bad_value for an interface that is not there.
  void join_group(const address& group, std::string_view interface = {}) const;
  void leave_group(const address& group, std::string_view interface = {}) const;
  /// Sockets of this machine hear what is sent to a group (as by default), or do not.
  void set_multicast_loop(bool on) const;
  /// How many routers a datagram to a group may pass, 0 to 255; 1 by default. Else bad_value.
  void set_multicast_hops(int hops) const;
  /// Datagrams to groups leave by this interface.
  void set_multicast_interface(std::string_view interface) const;

  /// Ends the socket. Tasks that wait in a call get ECANCELED. May be called again.
  void close() const noexcept;
  /// The address that the socket was bound to; also after close().
  [[nodiscard]] const address& local_address() const;
  /// The connected peer; empty without one.
  [[nodiscard]] const address& peer_address() const;
  /// The descriptor, for setsockopt; -1 after close(). Do not read from it or close it.
  [[nodiscard]] int native_handle() const;
  [[nodiscard]] bool is_closed() const;
  /// False: it was moved from.
  [[nodiscard]] bool valid() const noexcept { return core_ != nullptr; }

 private:
  explicit datagram_socket(std::shared_ptr<detail::message_core> core) noexcept;
  [[nodiscard]] detail::message_core& use() const;
  [[nodiscard]] const std::shared_ptr<detail::message_core>& share() const;

  std::shared_ptr<detail::message_core> core_;
};

}  // namespace heddle
