// SPDX-License-Identifier: MIT
// What a stream holds unread is bounded, whatever the peer sends, and a reader that never waits can
// be cancelled.
#include "io/runtime.h"

#include <heddle/io/reactor/uring.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace {

using namespace io_test;

class Unread : public on_each_reactor {
 protected:
  void TearDown() override { h::detail::plant_fault_no_receive_cap(false); }
};
INSTANTIATE_TEST_SUITE_P(, Unread, testing::ValuesIn(all_setups()), name_of);

constexpr std::size_t bound = 1024 * 1024;  // with what the two sockets hold

/// Sends the bytes 0, 1, 2, ... 250, 0, ... as fast as they are taken, until none are for a while,
/// or it is more than may be taken.
std::size_t flood(int to) {
  std::string piece(251 * 64, 0);
  for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = static_cast<char>(i % 251);
  std::size_t sent = 0;
  while (sent < 16 * bound) {
    const std::size_t from = sent % 251;
    const auto n =
        ::send(to, piece.data() + from, piece.size() - from, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      continue;
    }
    pollfd room{to, POLLOUT, 0};
    if (::poll(&room, 1, 500) <= 0) break;
  }
  return sent;
}

h::task<> bounded_and_whole() {
  auto e = co_await connect_ends();
  const int small = 64 * 1024;
  const int to = e.client.writer.native_handle();
  ::setsockopt(to, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  ::setsockopt(e.server.writer.native_handle(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  std::string first(1, '\0');
  EXPECT_EQ(::send(to, first.data(), 1, MSG_NOSIGNAL), 1);
  EXPECT_EQ(co_await e.server.reader.read(1), first);  // from here on it receives

  std::atomic<bool> over{false};
  std::size_t sent = 0;
  std::thread peer([&] {
    sent = flood(to);
    over = true;
  });
  co_await support::until_later([&] { return over.load(); });
  peer.join();
  EXPECT_LT(sent, bound);

  for (std::size_t got = 0; got < sent;) {
    const std::string part = co_await e.server.reader.read(100'000);
    if (part.empty()) break;
    bool in_order = true;
    for (std::size_t i = 0; i < part.size(); ++i)
      in_order = in_order && part[i] == static_cast<char>((got + i) % 251);
    EXPECT_TRUE(in_order) << got;
    got += part.size();
  }
}

TEST_P(Unread, IsBoundedAndNothingOfItIsLost) {
  run([]() -> h::task<> { co_await bounded_and_whole(); });
}

TEST_P(Unread, IsBoundedWhereTheKernelCannotEndAReceiveByItself) {
  h::detail::plant_fault_no_receive_cap(true);
  run([]() -> h::task<> { co_await bounded_and_whole(); });
}

TEST_P(Unread, OfManyFloodedStreamsIsBoundedForEach) {
  run([]() -> h::task<> {
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 8; ++i) all.push_back(h::create_task(bounded_and_whole()));
    for (auto& t : all) co_await t;
  });
}

/// A peer that is always faster than the reader, and a time-out around the reader.
TEST_P(Unread, ATimeOutEndsAReaderThatIsFloodedAndLosesNothing) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    std::atomic<bool> stop{false};
    const int to = e.client.writer.native_handle();
    std::size_t sent = 0;
    std::thread peer([&, to] {
      const std::string piece(251 * 256, 'x');
      while (!stop) {
        const auto n = ::send(to, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += static_cast<std::size_t>(n);
        if (n < 0) std::this_thread::yield();
      }
    });
    std::size_t got = 0;
    auto reads = [](h::stream_reader& r, std::size_t& count) -> h::task<> {
      for (;;) {
        const std::string part = co_await r.read(1000);
        count += part.size();
      }
    };
    bool late = false;
    auto limited = h::wait_for(reads(e.server.reader, got), 100ms);
    try {
      co_await std::move(limited);
    } catch (const h::timeout_error&) { late = true; }
    EXPECT_TRUE(late);
    stop = true;
    peer.join();
    e.client.writer.close();
    const std::string rest = co_await e.server.reader.read(-1);
    EXPECT_EQ(got + rest.size(), sent);
  });
}

}  // namespace
