// SPDX-License-Identifier: MIT
#include <heddle/io/descriptors/socket.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>
#include <limits>

namespace heddle::detail {
namespace {

constexpr std::int64_t nanoseconds_a_second = 1'000'000'000;
constexpr std::int64_t nanoseconds_a_millisecond = 1'000'000;

/// A time in units of `unit` nanoseconds, rounded up.
int whole(any_duration d, std::int64_t unit, const char* name, int most) {
  const std::int64_t n = d.count() / unit + (d.count() % unit > 0 ? 1 : 0);
  return checked<int>(n, name, 1, most);
}
int keep_alive_of(const socket_options& o) {
  return whole(*o.keep_alive, nanoseconds_a_second, "keep_alive in seconds", 32767);
}
int keep_alive_every_of(const socket_options& o) {
  return whole(o.keep_alive_every, nanoseconds_a_second, "keep_alive_every in seconds", 32767);
}
int probes_of(const socket_options& o) {
  return checked<int>(o.keep_alive_probes, "keep_alive_probes", 1, 127);
}
int unacknowledged_of(const socket_options& o) {
  return whole(*o.unacknowledged_limit, nanoseconds_a_millisecond,
               "unacknowledged_limit in milliseconds", std::numeric_limits<int>::max());
}
/// The kernel doubles the size of a buffer, so half of an int is the most.
int size_of(std::size_t n, const char* name) {
  return checked<int>(n, name, 0, std::numeric_limits<int>::max() / 2);
}

}  // namespace

fd make_stream_socket(int family, const address& about) {
  return fd(check(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket",
                  about.to_string()));
}

void set_option(int socket, int level, int name, int value, const char* call,
                const address& about) {
  if (::setsockopt(socket, level, name, &value, sizeof value) != 0)
    throw_system_error(errno, call, about.to_string());
}

// An interrupted call may go on in the kernel, or may not have begun. The second call tells:
// EALREADY and EISCONN then speak of the first one.
int begin_connect(int socket, const address& to) noexcept {
  for (bool interrupted = false;;) {
    if (::connect(socket, to.data(), to.size()) == 0) return 0;
    const int code = errno;
    if (code == EINTR) {
      interrupted = true;
      continue;
    }
    if (interrupted && code == EISCONN) return 0;
    return interrupted && code == EALREADY ? EINPROGRESS : code;
  }
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

void check_socket_options(const socket_options& o) {
  if (o.keep_alive) (void)keep_alive_of(o);
  (void)keep_alive_every_of(o);
  (void)probes_of(o);
  (void)size_of(o.send_buffer, "send_buffer");
  (void)size_of(o.receive_buffer, "receive_buffer");
  (void)size_of(o.unsent_limit, "unsent_limit");
  if (o.unacknowledged_limit) (void)unacknowledged_of(o);
}

void set_socket_options(int socket, int family, const socket_options& o, const address& about) {
  const auto set = [&](int level, int name, int value, const char* call) {
    set_option(socket, level, name, value, call, about);
  };
  if (o.send_buffer != 0)
    set(SOL_SOCKET, SO_SNDBUF, size_of(o.send_buffer, "send_buffer"), "setsockopt SO_SNDBUF");
  if (o.receive_buffer != 0)
    set(SOL_SOCKET, SO_RCVBUF, size_of(o.receive_buffer, "receive_buffer"), "setsockopt SO_RCVBUF");
  if (family != AF_INET && family != AF_INET6) return;
  if (o.keep_alive) {
    set(SOL_SOCKET, SO_KEEPALIVE, 1, "setsockopt SO_KEEPALIVE");
    set(IPPROTO_TCP, TCP_KEEPIDLE, keep_alive_of(o), "setsockopt TCP_KEEPIDLE");
    set(IPPROTO_TCP, TCP_KEEPINTVL, keep_alive_every_of(o), "setsockopt TCP_KEEPINTVL");
    set(IPPROTO_TCP, TCP_KEEPCNT, probes_of(o), "setsockopt TCP_KEEPCNT");
  }
  if (o.unsent_limit != 0)
    set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, size_of(o.unsent_limit, "unsent_limit"),
        "setsockopt TCP_NOTSENT_LOWAT");
  if (o.unacknowledged_limit)
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, unacknowledged_of(o), "setsockopt TCP_USER_TIMEOUT");
}

}  // namespace heddle::detail
