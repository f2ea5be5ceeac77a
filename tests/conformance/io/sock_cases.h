// SPDX-License-Identifier: MIT
// What the cases of foreign sockets share.
#pragma once

#include "descriptor_count.h"
#include "reactor_cases.h"

#include <heddle/io/sock.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string>

namespace conformance {

/// A socket of the program's own, non-blocking unless it is asked for otherwise.
inline h::owned_descriptor own_socket(int family, int type, int flags = SOCK_NONBLOCK) {
  return h::owned_descriptor(::socket(family, type | SOCK_CLOEXEC | flags, 0));
}

inline h::owned_descriptor listening(const h::address& at = h::address::ip("127.0.0.1", 0)) {
  auto socket = own_socket(at.family(), SOCK_STREAM);
  (void)::bind(socket.get(), at.data(), at.size());
  (void)::listen(socket.get(), 16);
  return socket;
}

/// Two connected sockets of the program's own.
struct foreign_pair {
  explicit foreign_pair(int type = SOCK_STREAM) {
    int both[2] = {-1, -1};
    (void)::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, both);
    a = h::owned_descriptor(both[0]);
    b = h::owned_descriptor(both[1]);
  }
  h::owned_descriptor a;
  h::owned_descriptor b;
};

/// Two sockets connected by TCP, as sock_connect and sock_accept make them.
inline h::task<foreign_pair> connect_foreign() {
  const h::owned_descriptor listener = listening();
  foreign_pair pair;
  pair.a = own_socket(AF_INET, SOCK_STREAM);
  co_await h::sock_connect(pair.a.get(), h::address::local_of(listener.get()));
  h::sock_accepted taken = co_await h::sock_accept(listener.get());
  pair.b = std::move(taken.socket);
  co_return pair;
}

inline h::task<int> code_of_recv(int descriptor) {
  auto receiving = h::sock_recv(descriptor, 100);
  co_return code_of(co_await error_of(std::move(receiving)));
}
inline h::task<int> code_of_sendall(int descriptor, std::string_view bytes) {
  auto sending = h::sock_sendall(descriptor, bytes);
  co_return code_of(co_await error_of(std::move(sending)));
}

/// Fills the socket: the next send must wait. Yields how many bytes went.
inline std::size_t fill_socket(int descriptor) {
  const std::string block(65536, 'f');
  std::size_t sent = 0;
  for (;;) {
    const ssize_t n = ::send(descriptor, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return sent;
    sent += static_cast<std::size_t>(n);
  }
}

}  // namespace conformance
