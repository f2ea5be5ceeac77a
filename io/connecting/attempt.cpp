// SPDX-License-Identifier: MIT
#include <heddle/io/connecting/attempt.h>

#include <heddle/io/connecting/local_end.h>
#include <heddle/io/descriptors/socket.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/sched/sleep.h>

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>

namespace heddle::detail {
namespace {

/// A socket on which connect() was called.
struct begun {
  fd socket;
  int result = 0;  // 0: it is connected; else an errno
};

/// Throws what making and binding the socket throws. `prepare` may throw anything.
begun begin(const address& to, const connection_options& options, const local_end& from) {
  begun b{make_stream_socket(to.family(), to)};
  const int socket = b.socket.get();
  if (options.no_delay) set_no_delay(socket, to.family());
  set_socket_options(socket, to.family(), options.socket, to);
  if (options.prepare) options.prepare(socket, to);
  from.bind(socket);
  b.result = begin_connect(socket, to);
  return b;
}

/// The same, for each port that the attempt may use, until one is free.
begun begin_on_a_free_port(const address& to, const connection_options& options) {
  local_end from(to, options);
  for (;;) {
    try {
      begun b = begin(to, options, from);
      if (b.result == 0 || !from.try_next(b.result)) return b;
    } catch (const std::system_error& e) {
      if (!from.try_next(e.code().value())) throw;
    }
  }
}

[[noreturn]] void refuse(const std::string& why) {
  throw bad_value("not a connected stream socket: " + why);
}

}  // namespace

task<connection> connect_to(const address& to, const connection_options& options) {
  using namespace std::chrono_literals;
  begun b = begin_on_a_free_port(to, options);
  auto pause = 1ms;
  while (b.result == EAGAIN && to.family() == AF_UNIX) {
    // The backlog of the Unix server is full, and no event tells of room. So it is tried again.
    co_await sleep(pause);
    pause = std::min(2 * pause, 50ms);
    b.result = begin_connect(b.socket.get(), to);
  }
  if (b.result != 0 && b.result != EINPROGRESS)
    throw_system_error(b.result, "connect", to.to_string());

  // The watch begins after connect(): a socket that was never connected reports a hang-up.
  const auto purpose = b.result == 0 ? watched_for::streaming : watched_for::connecting;
  stream_core* core =
      stream_core::open(std::move(b.socket), current_reactor(), purpose, options.limit, to);
  connection c = make_connection(core);
  if (b.result != 0) {
    int error = 0;
    do {
      writable_wait connected(core->source(), core->source().name());
      co_await connected;
      socklen_t length = sizeof error;
      check(::getsockopt(core->descriptor(), SOL_SOCKET, SO_ERROR, &error, &length),
            "getsockopt SO_ERROR", to.to_string());
    } while (error == 0 && core->is_connecting());
    if (error != 0) throw_system_error(error, "connect", to.to_string());
  }
  if (to.is_ip()) {
    const address own = address::local_of(core->descriptor());
    if (own.port() == to.port() && own == address::peer_of(core->descriptor())) {
      c.writer.abort();
      throw_system_error(ECONNREFUSED, "connect, which met its own socket, to", to.to_string());
    }
  }
  if (b.result != 0) core->established();
  co_return c;
}

connection adopt_socket(int socket, const connection_options& options) {
  int type = 0, listens = 0, domain = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
    refuse(std::generic_category().message(errno));
  if (type != SOCK_STREAM) refuse("its type is another");
  length = sizeof domain;
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0)
    refuse(std::generic_category().message(errno));
  if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX) refuse("its family is another");
  length = sizeof listens;
  if (::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0)
    refuse(std::generic_category().message(errno));
  if (listens != 0) refuse("it listens");
  sockaddr_storage peer;
  length = sizeof peer;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &length) != 0)
    refuse(std::generic_category().message(errno));
  const address to(reinterpret_cast<const sockaddr*>(&peer), length);

  fd owned(socket);
  check(::fcntl(socket, F_SETFD, FD_CLOEXEC), "fcntl F_SETFD", to.to_string());
  const int flags = check(::fcntl(socket, F_GETFL), "fcntl F_GETFL", to.to_string());
  check(::fcntl(socket, F_SETFL, flags | O_NONBLOCK), "fcntl F_SETFL", to.to_string());
  if (options.no_delay) set_no_delay(socket, domain);
  set_socket_options(socket, domain, options.socket, to);
  return make_connection(stream_core::open(std::move(owned), current_reactor(),
                                           watched_for::streaming, options.limit, to));
}

void check_connection_options(const connection_options& options) {
  check_limit(options.limit);
  check_socket_options(options.socket);
  check_local_end(options);
  if (options.first_family_count == 0) throw bad_value("first_family_count must be at least 1");
}

}  // namespace heddle::detail
