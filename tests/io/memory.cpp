// SPDX-License-Identifier: MIT
// Memory pairs: two ends without a kernel, also in simulated programs.
#include "io/runtime.h"
#include "support/simulated.h"

#include <heddle/io/memory_pair.h>

#include <support/streams.h>

#include <cstddef>
#include <string>

namespace {

using namespace io_test;
using simulated::require;
using support::swallow;

TEST(MemoryPair, NeedsNoRuntimeAndNoDescriptor) {
  const auto before = open_descriptors();
  auto [a, b] = h::memory_pair();
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(a.writer.native_handle(), -1);
  EXPECT_EQ(a.writer.peer_address(), h::address());
  EXPECT_EQ(a.writer.local_address(), h::address());
  a.writer.write("kept for the other end");
  EXPECT_FALSE(b.reader.quiet());
  EXPECT_THROW((void)h::memory_pair(0), h::bad_value);
  EXPECT_THROW((void)h::memory_pair(1, 0), h::bad_value);
  EXPECT_THROW((void)h::memory_pair(static_cast<std::size_t>(-1)), h::bad_value);
}

TEST(MemoryPair, HoldsTheSenderUpAfterItsBufferAndTheHighMark) {
  h::run([]() -> h::task<> {
    auto [a, b] = h::memory_pair(1000);
    a.writer.set_write_limits(500, 100);
    a.writer.write(std::string(1500, 'm'));
    EXPECT_EQ(a.writer.buffered(), 500u);
    co_await a.writer.drain();
    a.writer.write("m");
    auto draining = h::create_task(drain(a.writer));
    co_await until([&] { return waits(draining); });
    const std::string some = co_await b.reader.read_exactly(1000);
    EXPECT_EQ(some, std::string(1000, 'm'));
    co_await draining;
    EXPECT_LE(a.writer.buffered(), 100u);
    const std::string rest = co_await b.reader.read_exactly(501);
    EXPECT_EQ(rest, std::string(501, 'm'));
  }());
}

TEST(MemoryPair, AnEndThatClosesWithBytesUnreadResetsTheOther) {
  h::run([]() -> h::task<> {
    auto [a, b] = h::memory_pair();
    a.writer.write("never read");
    b.writer.write("before");
    b.writer.close();
    co_await b.writer.wait_closed();
    const std::string before = co_await a.reader.read_exactly(6);
    EXPECT_EQ(before, "before");
    EXPECT_EQ(code_of(co_await error_of(a.reader.read(1))), ECONNRESET);
    auto [c, d] = h::memory_pair();
    c.writer.write("read and dropped");
    d.writer.write("answer");
    auto closing = [](h::stream_writer& w) -> h::task<bool> { return w.close_within(10s); };
    auto lingering = h::create_task(closing(d.writer));
    const std::string answer = co_await c.reader.read();
    EXPECT_EQ(answer, "answer");
    c.writer.close();
    EXPECT_TRUE(co_await lingering);
  }());
}

TEST(MemoryPair, WhatARuntimeLeftUnsentIsReadToItsEndInTheNext) {
  constexpr std::size_t room = 4 * 1024 * 1024;
  for (const unsigned loops : {1u, 2u, 8u})
    for (int i = 0; i < support::rounds(10); ++i) {
      h::options o;
      o.loops = loops;
      auto pair = h::memory_pair(room);
      h::run(
          [&]() -> h::task<> {
            // Half round the ring: what is written next goes in two pieces, of which the second is
            // a whole turn's. The rest is a callback's to send, after the main task has ended.
            pair.first.writer.write(std::string(room / 2, 'h'));
            (void)co_await pair.second.reader.read_exactly(room / 2);
            pair.first.writer.write(std::string(2 * room + 10, 'r'));
            pair.first.writer.close();
          }(),
          o);
      h::run(
          [&]() -> h::task<> {
            EXPECT_EQ(co_await swallow(pair.second.reader), 2 * room + 10);
            EXPECT_TRUE(pair.second.reader.at_eof());
          }(),
          o);
    }
}

TEST(MemoryPair, CarriesBothWaysBetweenLoops) {
  for (const unsigned loops : {1u, 2u, 8u}) {
    h::options o;
    o.loops = loops;
    h::run(
        []() -> h::task<> {
          auto [a, b] = h::memory_pair(777);
          auto pour = [](h::stream_writer& w) -> h::task<> {
            std::string text;
            for (int i = 0; i < 2000; ++i) {
              text.assign(static_cast<std::size_t>(1 + i % 700), static_cast<char>('a' + i % 26));
              w.write(text);
              co_await w.drain();
            }
            w.write_eof();
          };
          auto expect = [](h::stream_reader& r) -> h::task<std::size_t> {
            std::size_t wrong = 0;
            for (int i = 0; i < 2000; ++i) {
              const std::string got = co_await r.read_exactly(1 + i % 700);
              wrong += got != std::string(got.size(), static_cast<char>('a' + i % 26));
            }
            const std::string end = co_await r.read();
            co_return wrong + end.size();
          };
          auto p = h::create_task(pour(a.writer));
          auto q = h::create_task(pour(b.writer));
          auto x = h::create_task(expect(b.reader));
          auto y = h::create_task(expect(a.reader));
          co_await p;
          co_await q;
          EXPECT_EQ(co_await x, 0u);
          EXPECT_EQ(co_await y, 0u);
        }(),
        o);
  }
}

h::task<> converse() {
  auto [a, b] = h::memory_pair(16, 64);
  a.writer.set_write_limits(20, 4);
  auto answer = [](h::stream_reader& r, h::stream_writer& w) -> h::task<> {
    for (;;) {
      const std::string line = co_await r.read_line();
      if (line.empty()) break;
      w.write(line);
      co_await w.drain();
    }
    w.close();
  };
  auto serving = h::create_task(answer(b.reader, b.writer));
  for (int i = 0; i < 5; ++i) {
    std::string line(static_cast<std::size_t>(7 * i), 'x');
    line += '\n';
    a.writer.write(line);
    co_await a.writer.drain();
    const std::string got = co_await a.reader.read_line();
    require(got == line, "an echo over a small memory pair");
  }
  const bool in_order = co_await a.writer.close_within(std::chrono::hours(1));
  require(in_order, "both ends have closed");
  co_await serving;
}

TEST(MemoryPair, ASimulatedConversationEndsWithEachSeed) {
  h::options o;
  o.loops = 3;
  NO_SEED_FAILS(h::testing::explore(1, simulated::seeds(300), o, converse));
}

TEST(MemoryPair, TheSameSeedMakesTheSameSteps) {
  h::options o;
  o.loops = 3;
  const auto first = h::testing::simulate(7, o, converse);
  const auto again = h::testing::simulate(7, o, converse);
  EXPECT_EQ(first.hash, again.hash);
}

h::task<> race_of_ends() {
  auto [a, b] = h::memory_pair(8);
  auto write = [](h::stream_writer& w) -> h::task<> {
    for (int i = 0; i < 10; ++i) {
      w.write("12345");
      const auto error = co_await error_of(drain(w));
      if (error) break;
    }
    w.close();
  };
  auto read = [](h::stream_reader& r, bool& may_end_early) -> h::task<> {
    std::size_t n = 0;
    const auto error = co_await error_of([](h::stream_reader& from, std::size_t& all) -> h::task<> {
      all = co_await swallow(from);
    }(r, n));
    require(error || may_end_early || n == 50, "all of it, or an error");
  };
  auto writing = h::create_task(write(a.writer));
  bool own_abort = false;  // then its reads see the end
  auto reading = h::create_task(read(b.reader, own_abort));
  co_await h::yield_now();
  const auto who = h::testing::choose(3);
  own_abort = who == 0;
  if (who == 0) b.writer.abort();
  if (who == 1) a.writer.abort();
  co_await writing;
  co_await reading;
  b.writer.abort();
  (void)co_await error_of(closed(a.writer));
  (void)co_await error_of(closed(b.writer));
}

TEST(MemoryPair, AnAbortAtAnyMomentEndsAllWhoWait) {
  h::options o;
  o.loops = 3;
  NO_SEED_FAILS(h::testing::explore(1, simulated::seeds(2000), o, race_of_ends));
}

}  // namespace
