// SPDX-License-Identifier: MIT
// The end of a stream is found behind the last bytes, however many came at once before the first
// receive: protocol LAST of uring.h.
#include "io/runtime.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace {

using namespace io_test;

class LastBytes : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, LastBytes, testing::ValuesIn(all_setups()), name_of);

/// Two connected sockets: the one that a stream reads, and its peer.
struct pair {
  int ours = -1;
  int peer = -1;
};

pair connect_pair(int family) {
  pair made;
  int both[2] = {-1, -1};
  if (family == AF_UNIX) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) != 0) return made;
    return {both[0], both[1]};
  }
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int room = 400'000;
  ::setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  auto* name = reinterpret_cast<sockaddr*>(&at);
  made.peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener, name, length) == 0 && ::listen(listener, 1) == 0 &&
      ::getsockname(listener, name, &length) == 0 && ::connect(made.peer, name, length) == 0)
    made.ours = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ::close(listener);
  return made;
}

/// Sends what there is room for, at most `n` bytes. Returns how many.
std::size_t send_bytes(int to, std::size_t n) {
  const int room = 400'000;
  ::setsockopt(to, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  const std::string bytes(n, 'x');
  std::size_t sent = 0;
  while (sent < n) {
    const auto got = ::send(to, bytes.data() + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (got <= 0) break;
    sent += static_cast<std::size_t>(got);
  }
  return sent;
}

void reset(int socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(socket);
}

/// Sizes around what the kernel receives at one go: 32 buffers of 4 KiB.
std::vector<std::size_t> sizes() {
  std::vector<std::size_t> all{0, 1};
  for (const std::size_t buffers : {1, 31, 32, 33, 34, 35, 64, 65})
    for (const int more : {-1, 0, 1})
      all.push_back(buffers * 4096 + static_cast<std::size_t>(more));
  return all;
}

/// Bytes and the end are there before anything is received.
h::task<> end_behind(int family, std::size_t n) {
  const pair p = connect_pair(family);
  const std::size_t sent = send_bytes(p.peer, n);
  ::shutdown(p.peer, SHUT_WR);
  auto adopting = h::adopt_connection(p.ours);
  h::connection c = co_await std::move(adopting);
  const std::string got = co_await c.reader.read();
  EXPECT_EQ(got.size(), sent);
  ::close(p.peer);
}

TEST_P(LastBytes, OfAUnixSocketAreFollowedByItsEnd) {
  run([]() -> h::task<> {
    for (const std::size_t n : sizes()) co_await end_behind(AF_UNIX, n);
  });
}

TEST_P(LastBytes, OfATcpSocketAreFollowedByItsEnd) {
  run([]() -> h::task<> {
    for (const std::size_t n : sizes()) co_await end_behind(AF_INET, n);
  });
}

TEST_P(LastBytes, BeforeAResetAreFollowedByIt) {
  run([]() -> h::task<> {
    for (const std::size_t n : sizes()) {
      const pair p = connect_pair(AF_INET);
      auto adopting = h::adopt_connection(p.ours);
      h::connection c = co_await std::move(adopting);
      (void)send_bytes(p.peer, n);
      reset(p.peer);
      int code = 0;
      try {
        (void)co_await c.reader.read();
      } catch (const std::system_error& e) { code = e.code().value(); }
      EXPECT_EQ(code, ECONNRESET) << n;
    }
  });
}

/// The end comes while the stream receives: each size meets the kernel in another state.
TEST_P(LastBytes, OfAUnixSocketThatIsBeingReadAreFollowedByItsEnd) {
  run([]() -> h::task<> {
    for (std::size_t n = 1; n < 300'000; n += 14'983) {
      const pair p = connect_pair(AF_UNIX);
      auto adopting = h::adopt_connection(p.ours);
      h::connection c = co_await std::move(adopting);
      auto reading = h::create_task(c.reader.read());
      co_await h::sleep(0s);
      const std::size_t sent = send_bytes(p.peer, n);
      ::shutdown(p.peer, SHUT_WR);
      const std::string got = co_await reading;
      EXPECT_EQ(got.size(), sent);
      ::close(p.peer);
    }
  });
}

}  // namespace
