// SPDX-License-Identifier: MIT
// Tasks that wait for sockets: with a time-out around, of streams, in accept and in connect.
#include "programs.h"

#include <heddle/io/connection_options.h>
#include <heddle/io/server.h>
#include <heddle/io/sock.h>
#include <heddle/io/stream.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sync/event.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

namespace inside {

using namespace std::chrono_literals;

namespace {

struct ends {
  int near = -1;
  int far = -1;
};

struct listener {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};

  explicit listener(int backlog) {
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    if (::bind(socket, address, length) != 0 || ::listen(socket, backlog) != 0 ||
        ::getsockname(socket, address, &length) != 0)
      std::abort();
  }
  /// A socket on which connect() was called.
  [[nodiscard]] int connect() const {
    const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)::connect(s, reinterpret_cast<const sockaddr*>(&at), sizeof at);
    return s;
  }
};

/// Both ends of a TCP connection on this machine.
ends connected() {
  const listener l(1);
  ends e;
  e.near = l.connect();
  e.far = ::accept4(l.socket, nullptr, nullptr, SOCK_CLOEXEC);
  ::close(l.socket);
  return e;
}

/// The port of a listener that answers no more connect().
std::uint16_t port_of_full_listener() {
  const listener l(0);
  for (int i = 0; i < 4; ++i) (void)l.connect();
  return ntohs(l.at.sin_port);
}

h::task<> reads(int socket) { co_await h::readable(socket); }
h::task<> reads_for_an_hour(int socket) {
  auto body = [socket]() -> h::task<> { co_await reads(socket); };
  co_await h::timeout(1h, body);
}

h::task<> reads_a_stream(h::stream_reader from) { (void)co_await from.read(100); }
h::task<> reads_a_stream_for_an_hour(h::stream_reader from) {
  co_await h::wait_for(reads_a_stream(std::move(from)), 1h);
}
h::task<> writes_without_end(h::stream_writer to) {
  const std::string many(100000, 'x');
  for (;;) {
    to.write(many);
    co_await to.drain();
  }
}
h::task<> connects(std::uint16_t port) { (void)co_await h::open_connection("127.0.0.1", port); }
h::task<> serves(h::connection) { co_return; }

}  // namespace

h::task<> sockets(int) {
  static h::event never;
  const auto e = connected();
  if (::write(e.near, "12345", 5) != 5) std::abort();  // it stands at the far end
  keep("reader", reads_for_an_hour(e.near));
  auto reading = co_await h::adopt_connection(connected().near);
  keep("of a stream", reads_a_stream_for_an_hour(std::move(reading.reader)));
  auto writing = co_await h::adopt_connection(connected().near);
  keep("to a stream", writes_without_end(std::move(writing.writer)));
  keep("connecting", connects(port_of_full_listener()));
  const auto server = co_await h::start_server(serves, "127.0.0.1", 0);
  co_await never.wait();
}

}  // namespace inside
