// SPDX-License-Identifier: MIT
// Bytes keep their order, and their end is found, where a stream goes to and fro between receives
// of the ring and calls of its own: protocol BULK of uring.h.
#include "io/runtime.h"

#include <heddle/io/reactor/uring.h>

#include <random>

namespace {

using namespace io_test;

class Bulk : public on_each_reactor {
 protected:
  void TearDown() override { h::detail::plant_fault_no_receive_cap(false); }
};
INSTANTIATE_TEST_SUITE_P(, Bulk, testing::ValuesIn(all_setups()), name_of);

/// What stands at a place of the stream.
char byte_at(std::size_t at) { return static_cast<char>((at * 2654435761u) >> 13); }

std::string bytes_from(std::size_t at, std::size_t n) {
  std::string text(n, 0);
  for (std::size_t i = 0; i < n; ++i) text[i] = byte_at(at + i);
  return text;
}

/// Bursts and single bytes, so that the stream often changes its way of receiving.
std::size_t any_size(std::minstd_rand& random) {
  switch (random() % 4) {
    case 0: return 1 + random() % 100;
    case 1: return 4095 + random() % 3;
    case 2: return 16'000 + random() % 1000;
    default: return 1 + random() % 200'000;
  }
}

h::task<> send_all(h::stream_writer& to, std::size_t all, unsigned seed) {
  std::minstd_rand random(seed);
  for (std::size_t sent = 0; sent < all;) {
    const std::size_t n = std::min(all - sent, any_size(random));
    to.write(bytes_from(sent, n));
    sent += n;
    co_await to.drain();
    if (random() % 4 == 0) co_await h::sleep(0s);
  }
  to.write_eof();
}

/// Reads all, and now and then gives up a wait amid it.
h::task<> receive_all(h::stream_reader& from, std::size_t all, unsigned seed) {
  std::minstd_rand random(seed);
  std::size_t got = 0;
  for (;;) {
    const auto most = static_cast<std::ptrdiff_t>(any_size(random));
    std::string part;
    bool late = false;
    auto limited = h::wait_for(from.read(most), random() % 8 == 0 ? 0s : 30s);
    try {
      part = co_await std::move(limited);
    } catch (const h::timeout_error&) { late = true; }
    if (late) continue;
    if (part.empty()) break;
    EXPECT_TRUE(part == bytes_from(got, part.size())) << "at " << got << ", seed " << seed;
    got += part.size();
  }
  EXPECT_EQ(got, all) << "seed " << seed;
}

/// Has the stream listen for its end, again and again, from another task.
h::task<> listen_on(h::stream_writer& to, std::atomic<bool>& over) {
  while (!over) {
    auto limited = h::wait_for(closed(to), 1ms);
    try {
      co_await std::move(limited);
    } catch (const h::timeout_error&) {}
  }
}

h::task<> there_and_back(unsigned seed) {
  constexpr std::size_t all = 3'000'000;
  auto e = co_await connect_ends();
  std::atomic<bool> over{false};
  auto sending = h::create_task(send_all(e.client.writer, all, seed));
  auto answering = h::create_task(send_all(e.server.writer, all, seed + 1));
  auto back = h::create_task(receive_all(e.client.reader, all, seed + 2));
  auto listening = h::create_task(listen_on(e.server.writer, over));
  co_await receive_all(e.server.reader, all, seed + 3);
  co_await sending;
  co_await answering;
  co_await back;
  over = true;
  co_await listening;
}

h::task<> many() {
  std::vector<h::task_handle<>> each;
  for (unsigned i = 0; i < 3; ++i) each.push_back(h::create_task(there_and_back(10 * i + 1)));
  for (auto& t : each) co_await t;
}

TEST_P(Bulk, KeepsItsOrderAndFindsItsEnd) {
  run([]() -> h::task<> { co_await many(); });
}

TEST_P(Bulk, KeepsItsOrderWhereAReceiveBringsOneBuffer) {
  h::detail::plant_fault_no_receive_cap(true);
  run([]() -> h::task<> { co_await many(); });
}

/// The peer resets amid a burst: an error, or what came before it, and never an orderly end.
TEST_P(Bulk, AResetIsNoEnd) {
  run([]() -> h::task<> {
    for (int i = 0; i < 20; ++i) {
      auto e = co_await connect_ends();
      for (int burst = 0; burst < 4; ++burst) {
        e.client.writer.write(bytes_from(0, 150'000));
        co_await e.client.writer.drain();
        (void)co_await e.server.reader.read(i % 2 == 0 ? 150'000 : 5000);
      }
      e.client.writer.abort();
      bool orderly = false;
      try {
        while (!(co_await e.server.reader.read(100'000)).empty()) {}
        orderly = true;
      } catch (const std::system_error& error) { EXPECT_EQ(error.code().value(), ECONNRESET); }
      EXPECT_FALSE(orderly);
    }
  });
}

}  // namespace
