// SPDX-License-Identifier: MIT
// What the cases of datagrams share.
#pragma once

#include "descriptor_count.h"
#include "reactor_cases.h"

#include <heddle/io/datagram.h>

#include <string>

namespace conformance {

inline h::datagram_socket bound(const char* host = "127.0.0.1", h::datagram_options options = {}) {
  return h::datagram_socket::bind(h::address::ip(host, 0), options);
}

/// An address of the loopback that no other program uses: its ports stay free between two binds.
inline std::string lonely_host() {
  const auto n = static_cast<unsigned>(::getpid());
  return "127.7." + std::to_string(n / 256 % 256) + "." + std::to_string(n % 256);
}

inline h::task<int> code_of_send(h::datagram_socket socket, std::string_view bytes, h::address to) {
  auto sending = socket.send_to(bytes, to);
  const auto error = co_await error_of(std::move(sending));
  co_return code_of(error);
}

/// Sends, whatever becomes of it: a refusal of an earlier one may be told here.
inline h::task<> send_anyhow(h::datagram_socket socket, std::string_view bytes) {
  auto sending = socket.send(bytes);
  (void)co_await error_of(std::move(sending));
}

inline h::task<int> code_of_receive(h::datagram_socket socket) {
  auto receiving = socket.receive();
  const auto error = co_await error_of(std::move(receiving));
  co_return code_of(error);
}

/// Fills the queue of a Unix datagram socket: senders to it must wait. Yields how many it took.
inline std::size_t fill(const h::address& to) {
  for (std::size_t sent = 0;;) {
    // A fresh socket each time: what is full is then the queue, and not the sender's buffer.
    const h::owned_descriptor sender(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto before = sent;
    while (::sendto(sender.get(), "f", 1, MSG_DONTWAIT, to.data(), to.size()) == 1) ++sent;
    EQUAL(errno, EAGAIN);
    if (sent == before) return sent;
  }
}

}  // namespace conformance
