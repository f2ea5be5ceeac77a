// SPDX-License-Identifier: MIT
// Sockets and other descriptors that are not the library's: those of a foreign library, or those
// that a program has made itself. asyncio: loop.sock_recv, sock_sendall, sock_accept, ...
//
//   co_await h::sock_connect(fd, h::address::ip("127.0.0.1", port));
//   co_await h::sock_sendall(fd, "question\n");
//   const std::string answer = co_await h::sock_recv(fd, 4096);
//   co_await h::readable(fd);  // and then the call of your own
//
// Several tasks may wait for one descriptor, in one direction too (in asyncio the second wait takes
// the place of the first). Each is told, and each tries: one of them gets the bytes.
//
// Close a descriptor that tasks may wait for by sock_close(), or say notify_closing() before: their
// waits end at once with ECANCELED. After a plain close() they go on waiting for the old open file,
// which stays open for them, and a sock_sendall() to a new file with that number waits behind them.
// Bytes of the two files are never mixed up.
//
// Cost      The call, and a look at O_NONBLOCK before it. A wait costs a second descriptor, which
//           names the same open file, and its watch: some five system calls more.
// Throws    std::system_error with the call and the descriptor. ECANCELED: it was closed by
//           sock_close(), or notify_closing() was called. usage_error for a descriptor that a
//           stream, a pipe or a datagram socket of the library owns; and from the sock_
//           functions for one that is not non-blocking (O_NONBLOCK): it would hold up the loop.
//           no_running_loop where it must wait outside of a loop
// Thread-safety  any number of tasks on any loops
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/owned_descriptor.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace heddle {

/// Waits until a read would not block: there are bytes, a connection, the end, or an error. Returns
/// at once if that is so already. Another task may take what is there: then wait again.
/// Cancel    the wait ends; nothing is lost
[[nodiscard]] task<void> readable(int descriptor);
/// Waits until a write would not block, or there is an error. Otherwise the same.
[[nodiscard]] task<void> writable(int descriptor);

/// Waits for bytes, and yields up to `most` of them; "" at the end, and for most = 0.
/// Cancel    a cancelled receive has taken nothing: the bytes that come are for the next one
[[nodiscard]] task<std::string> sock_recv(int descriptor, std::size_t most);
/// The same into memory of the caller. Yields how many bytes came; 0: the end.
/// Cost      no allocation but for the task
[[nodiscard]] task<std::size_t> sock_recv_into(int descriptor, std::span<char> room);

/// What sock_recvfrom_into has taken.
struct sock_datagram {
  std::size_t size = 0;    ///< how many bytes were stored
  bool truncated = false;  ///< the datagram was longer: the rest is lost
  address sender;
};
/// Waits for a datagram. Otherwise as sock_recv_into().
[[nodiscard]] task<sock_datagram> sock_recvfrom_into(int descriptor, std::span<char> room);
/// Sends one datagram.
[[nodiscard]] task<void> sock_sendto(int descriptor, std::string_view bytes, address to);

/// Sends all of `bytes`, which must stay until the call ends. Several at once go one after the
/// other, in the order of their calls: nothing is mixed.
/// Cancel    Some of the bytes may have gone: `sent` tells how many, also after an error. What is
///           sent next follows them.
[[nodiscard]] task<void> sock_sendall(int descriptor, std::string_view bytes);
[[nodiscard]] task<void> sock_sendall(int descriptor, std::string_view bytes, std::size_t& sent);

/// A connection that sock_accept() took.
struct sock_accepted {
  owned_descriptor socket;  ///< non-blocking, and closed on exec
  address peer;
};
/// Waits for a connection on a listening socket. A connection that is gone again is passed over.
/// Cancel    a connection that is there stays for the next accept
[[nodiscard]] task<sock_accepted> sock_accept(int descriptor);
/// Connects. Waits also while the backlog of a Unix listener is full.
/// Cancel    The attempt goes on in the kernel: close the socket.
[[nodiscard]] task<void> sock_connect(int descriptor, address to);

/// Ends all waits of the descriptor, and closes it. Throws usage_error if the library owns it.
void sock_close(int descriptor);
/// Ends all waits of the descriptor. Call it directly before a close() of your own.
void notify_closing(int descriptor) noexcept;

}  // namespace heddle
