// SPDX-License-Identifier: MIT
// TLS: bytes both ways, by many tasks, cancelled, and with new keys in between.
#include "tls_support.h"

#include <random>

namespace {

using namespace conformance;

REACTOR_CASES(IO_TLS_TRAFFIC);

TEST_P(IO_TLS_TRAFFIC, IO_TLS_37_AReaderThatStandsStillStopsItsSender) {
  run([]() -> h::task<> {
    ends e = co_await connect_tls_ends();
    const std::size_t written = co_await fill_up(e.client.writer);
    auto draining = h::create_task(error_of(drain(e.client.writer)));
    co_await until_waiting(draining);
    HOLDS(e.server.reader.buffered().empty());
    auto swallowing = h::create_task(swallow(e.server.reader));
    const std::exception_ptr& none = co_await draining;
    HOLDS(!none);
    e.client.writer.close();
    const std::size_t& got = co_await swallowing;
    EQUAL(got, written);
  });
}

/// Bytes that both ends can make: a stream of a seed.
class noise {
 public:
  explicit noise(unsigned seed) : random_(seed) {}
  std::string next(std::size_t n) {
    std::string s;
    while (s.size() < n) s += static_cast<char>(random_());
    return s;
  }

 private:
  std::minstd_rand random_;
};

h::task<> send_noise(h::stream_writer& w, unsigned seed, std::size_t total) {
  noise from(seed);
  for (std::size_t sent = 0; sent < total; sent += 20'000) {
    w.write(from.next(20'000));
    co_await w.drain();
  }
  w.write_eof();
}

h::task<bool> expect_noise(h::stream_reader& r, unsigned seed, std::size_t total) {
  noise from(seed);
  bool same = true;
  for (std::size_t got = 0; got < total; got += 20'000) {
    const std::string piece = co_await r.read_exactly(20'000);
    same = same && piece == from.next(20'000);
  }
  const std::string end = co_await r.read(1);
  co_return same&& end.empty();
}

TEST_P(IO_TLS_TRAFFIC, IO_TLS_38_OneTaskReadsWhileAnotherWritesAtBothEnds) {
  run([]() -> h::task<> {
    ends e = co_await connect_tls_ends();
    const std::size_t total = sized(100, 50'000) * 20'000;
    auto a = h::create_task(send_noise(e.client.writer, 1, total));
    auto b = h::create_task(send_noise(e.server.writer, 2, total));
    auto c = h::create_task(expect_noise(e.server.reader, 1, total));
    auto d = h::create_task(expect_noise(e.client.reader, 2, total));
    co_await a;
    co_await b;
    const bool& first = co_await c;
    const bool& second = co_await d;
    HOLDS(first);
    HOLDS(second);
  });
}

h::task<> write_records(h::stream_writer& w, char mark, int n) {
  for (int i = 0; i < n; ++i) {
    w.write(std::string(1024, mark));
    co_await w.drain();
    co_await h::yield_now();
  }
}

TEST_P(IO_TLS_TRAFFIC, IO_TLS_39_TheBytesOfOneWriteStayTogether) {
  run([]() -> h::task<> {
    ends e = co_await connect_tls_ends();
    std::vector<h::task_handle<>> writers;
    for (int i = 0; i < 8; ++i)
      writers.push_back(
          h::create_task(write_records(e.client.writer, static_cast<char>('a' + i), 50)));
    std::size_t mixed = 0;
    for (int i = 0; i < 8 * 50; ++i) {
      const std::string record = co_await e.server.reader.read_exactly(1024);
      mixed += record != std::string(1024, record.front());
    }
    EQUAL(mixed, 0u);
    for (auto& w : writers) co_await w;
  });
}

// It keeps what it read itself: the result of a task that is cancelled at its end is dropped.
h::task<> read_one(h::stream_reader& r, std::string& got) {
  const std::string piece = co_await r.read_exactly(700);
  got += piece;
}

h::task<> read_with_cuts(h::stream_reader& r, std::string& got, std::size_t total) {
  std::minstd_rand random(7);
  while (got.size() < total) {
    auto reading = h::create_task(read_one(r, got));
    for (unsigned i = random() % 4; i > 0; --i) co_await h::yield_now();
    if (random() % 2) reading.cancel();
    try {
      co_await reading;
    } catch (const h::cancelled_error&) {}
  }
}

h::task<> drain_with_cuts(h::stream_writer& w, const std::string& all) {
  std::minstd_rand random(9);
  for (std::size_t at = 0; at < all.size(); at += 7000) {
    w.write(std::string_view(all).substr(at, 7000));
    auto draining = h::create_task(drain(w));
    if (random() % 2) draining.cancel();
    try {
      co_await draining;
    } catch (const h::cancelled_error&) {}
    if (w.buffered() > 200'000) co_await w.drain();
  }
}

TEST_P(IO_TLS_TRAFFIC, IO_TLS_40_CancelledReadsAndDrainsLoseNothing) {
  run([]() -> h::task<> {
    ends e = co_await connect_tls_ends();
    noise from(3);
    const std::string all = from.next(700 * 400);
    std::string got;
    auto reading = h::create_task(read_with_cuts(e.server.reader, got, all.size()));
    auto writing = h::create_task(drain_with_cuts(e.client.writer, all));
    co_await writing;
    co_await reading;
    HOLDS(got == all);
    e.server.writer.write("alive\n");
    const std::string line = co_await e.client.reader.read_line();
    EQUAL(line, "alive\n");
  });
}

}  // namespace
