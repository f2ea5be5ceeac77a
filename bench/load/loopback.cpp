// SPDX-License-Identifier: MIT
#include "load/loopback.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <system_error>

namespace bench {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void set(int socket, int level, int option) {
  const int on = 1;
  checked(setsockopt(socket, level, option, &on, sizeof on), "setsockopt");
}

}  // namespace

int checked(int result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return result;
}

int connect_to(std::uint16_t port) {
  const int made = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const sockaddr_in address = loopback(port);
  checked(connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  set(made, IPPROTO_TCP, TCP_NODELAY);
  return made;
}

int listen_on(std::uint16_t port) {
  const int listener =
      checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  set(listener, SOL_SOCKET, SO_REUSEADDR);
  set(listener, SOL_SOCKET, SO_REUSEPORT);
  const sockaddr_in address = loopback(port);
  checked(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  checked(listen(listener, 4096), "listen");
  return listener;
}

int accept_from(int listener) {
  const int socket = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket < 0) return -1;
  set(socket, IPPROTO_TCP, TCP_NODELAY);
  return socket;
}

void watch(int set, int how, int socket, unsigned events, epoll_data_t data) {
  epoll_event interest{};
  interest.events = events;
  interest.data = data;
  checked(epoll_ctl(set, how, socket, &interest), "epoll_ctl");
}

bool send_whole(int socket, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes += sent;
      size -= static_cast<std::size_t>(sent);
      continue;
    }
    if (errno != EAGAIN) return false;
    pollfd room{socket, POLLOUT, 0};
    checked(poll(&room, 1, -1), "poll");
  }
  return true;
}

}  // namespace bench
