// SPDX-License-Identifier: MIT
// A task that waits for a socket, with a time-out around it.
#include "programs.h"

#include <heddle/io/sock.h>
#include <heddle/io/stream.h>
#include <heddle/sched/timeout.h>
#include <heddle/sync/event.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

namespace inside {

using namespace std::chrono_literals;

namespace {

struct ends {
  int near = -1;
  int far = -1;
};

/// Both ends of a TCP connection on this machine.
ends connected() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  auto* const address = reinterpret_cast<sockaddr*>(&at);
  ends e;
  e.near = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (::bind(listener, address, length) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, address, &length) != 0)
    std::abort();
  (void)::connect(e.near, address, length);
  e.far = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ::close(listener);
  return e;
}

h::task<> reads(int socket) { co_await h::readable(socket); }
h::task<> reads_for_an_hour(int socket) {
  auto body = [socket]() -> h::task<> { co_await reads(socket); };
  co_await h::timeout(1h, body);
}

}  // namespace

h::task<> sockets(int) {
  static h::event never;
  const auto e = connected();
  if (::write(e.near, "12345", 5) != 5) std::abort();  // it stands at the far end
  keep("reader", reads_for_an_hour(e.near));
  co_await never.wait();
}

}  // namespace inside
