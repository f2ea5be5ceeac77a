// SPDX-License-Identifier: MIT
#include <heddle/io/descriptors/socket.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace heddle::detail {

fd make_stream_socket(int family, const address& about) {
  return fd(check(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket",
                  about.to_string()));
}

void set_option(int socket, int level, int name, int value, const char* call,
                const address& about) {
  if (::setsockopt(socket, level, name, &value, sizeof value) != 0)
    throw_system_error(errno, call, about.to_string());
}

void make_non_blocking(int descriptor, const std::string& about) {
  const int flags = check(::fcntl(descriptor, F_GETFL), "fcntl F_GETFL", about);
  check(::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK), "fcntl F_SETFL", about);
}

void set_no_delay(int socket, int family) noexcept {
  if (family != AF_INET && family != AF_INET6) return;
  const int on = 1;
  // Only a connection that is gone refuses it, and the first read or write finds that, too.
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace heddle::detail
