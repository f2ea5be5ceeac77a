// SPDX-License-Identifier: MIT
// Peers and readers that stand still for ever: memory is bounded, and the others go on.
#include "fault_cases.h"

#include <heddle/io/datagram.h>

#include <thread>

#include <poll.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_FAULT_STALLED);

/// Writes for ever, a block each time that drain() lets it.
h::task<> write_on(h::stream_writer& w, std::atomic<std::size_t>& written) {
  const std::string block(64 * 1024, 'w');
  for (;;) {
    w.write(block);
    written += block.size();
    co_await w.drain();
  }
}

/// Until `count` stays as it is for a while.
h::task<> until_it_stands(const std::atomic<std::size_t>& count, h::any_task writer) {
  for (int same = 0; same < 50;) {
    const auto before = count.load();
    co_await h::sleep(1ms);
    same = count == before && before != 0 && waits(writer) ? same + 1 : 0;
  }
}

h::task<> ends_a_stalled_writer(h::connection& c) {
  std::atomic<std::size_t> written{0};
  auto writing = h::create_task(write_on(c.writer, written));
  co_await until_it_stands(written, writing);
  // The high mark, the block that went above it, and what TLS puts around them.
  HOLDS(c.writer.buffered() <= 64 * 1024 + 64 * 1024 + 4096);
  const auto began = h::clock::now();
  c.writer.abort();
  const auto how = co_await ending(writing);
  HOLDS(how.starts_with("System("));
  EQUAL(co_await code_of_end(c.writer), 0);
  EQUAL(c.writer.buffered(), 0u);
  EQUAL(c.writer.native_handle(), -1);
  HOLDS(h::clock::now() - began < 10s);
}

TEST_P(IO_FAULT_STALLED, IO_FAULT_10_APeerThatReadsNothingMoreCostsTheMarksAndAnAbortFreesAll) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    auto plain = co_await connect_raw();
    auto first = ends_a_stalled_writer(plain.here);
    co_await first;
    auto sealed = co_await connect_tls_ends();
    auto second = ends_a_stalled_writer(sealed.client);
    co_await second;
  });
  EQUAL(open_ends(), before);
}

// --- readers that stand still ---

/// Sends until the other side takes no more for a while.
std::size_t flood(int to) {
  const std::string piece(64 * 1024, 'p');
  std::size_t sent = 0;
  for (;;) {
    const auto n = ::send(to, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      continue;
    }
    pollfd room{to, POLLOUT, 0};
    if (::poll(&room, 1, 20) <= 0) return sent;
  }
}

/// A connection whose peer has sent all that it may, and whose reader has read one byte of it.
h::task<raw_ends> stand_still() {
  auto connecting = connect_raw();
  auto e = co_await connecting;
  const int small = 64 * 1024;  // what the kernel holds is not the matter here
  (void)::setsockopt(e.peer.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  (void)::setsockopt(e.here.writer.native_handle(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  e.peer.send("1");
  EQUAL(co_await e.here.reader.read(1), "1");
  co_return e;
}

h::task<> flood_all(std::vector<raw_ends>& all) {
  std::atomic<bool> over{false};
  std::thread peers([&] {
    for (auto& e : all) (void)flood(e.peer.get());
    over = true;
  });
  co_await support::until_later([&] { return over.load(); });
  peers.join();
}

h::task<> others_go_on() {
  auto s = co_await h::start_server(serve_echo, "127.0.0.1", 0);
  auto c = co_await h::open_connection("127.0.0.1", s.port());
  auto secured = co_await connect_tls_ends();
  auto sealed_echo = h::create_task(
      serve_echo(std::move(secured.server.reader), std::move(secured.server.writer)));
  auto datagrams = h::datagram_socket::bind(h::address::ip("127.0.0.1", 0));
  auto sender = h::datagram_socket::connect(datagrams.local_address());
  for (int i = 0; i < 20; ++i) {
    EQUAL(co_await talk(c, "plain"), "plain\n");
    EQUAL(co_await talk(secured.client, "sealed"), "sealed\n");
    co_await sender.send("datagram");
    EQUAL((co_await datagrams.receive()).bytes, "datagram");
  }
  const std::string blob(200'000, 'b');
  c.writer.write(blob);
  const std::string got = co_await c.reader.read_exactly(200'000);
  HOLDS(got == blob);
  secured.client.writer.close();
  co_await sealed_echo;
}

/// A ring has 4 MiB of buffers. These readers hold more than that between them.
TEST_P(IO_FAULT_STALLED, IO_FAULT_15_ReadersThatStandStillStarveNoOther) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    std::vector<raw_ends> all;
    for (int i = 0; i < 24; ++i) {
      auto one = stand_still();
      all.push_back(co_await one);
    }
    auto sealed = co_await connect_tls_ends();  // a sealed stream that nobody reads, too
    sealed.client.writer.write(std::string(1024 * 1024, 's'));
    auto flooding = flood_all(all);
    co_await flooding;
    co_await others_go_on();
    for (auto& e : all) {
      HOLDS((co_await e.here.reader.read_exactly(1000)).size() == 1000);  // nothing of it is lost
      e.here.writer.abort();
    }
    sealed.client.writer.abort();
  });
  EQUAL(open_ends(), before);
}

}  // namespace
