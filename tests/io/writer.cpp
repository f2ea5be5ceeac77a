// SPDX-License-Identifier: MIT
#include "io/runtime.h"

#include <support/streams.h>

#include <sys/socket.h>

#include <atomic>
#include <memory>

namespace {

using namespace io_test;
using support::fill_up;
using support::swallow;

class StreamWriter : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, StreamWriter, testing::ValuesIn(all_setups()), name_of);

TEST_P(StreamWriter, DrainsWithoutThePeerBelowTheHighMark) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    for (int i = 0; i < 10; ++i) {
      e.client.writer.write("0123456789");
      co_await e.client.writer.drain();
    }
    EXPECT_EQ(co_await e.server.reader.read_exactly(100),
              std::string("0123456789012345678901234567890123456789"
                          "0123456789012345678901234567890123456789"
                          "01234567890123456789"));
  });
}

TEST_P(StreamWriter, ResumesAllWhoDrainOnceThePeerReads) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::size_t written = co_await fill_up(e.client.writer);
    std::vector<h::task_handle<void>> draining;
    for (int i = 0; i < 3; ++i) draining.push_back(h::create_task(drain(e.client.writer)));
    co_await until([&] {
      for (auto& d : draining)
        if (!waits(d)) return false;
      return true;
    });
    auto sink = h::create_task(swallow(e.server.reader));
    for (auto& d : draining) co_await d;
    EXPECT_LE(e.client.writer.buffered(), 16u * 1024);
    e.client.writer.write_eof();
    EXPECT_EQ(co_await sink, written);
  });
}

TEST_P(StreamWriter, RefusesALowMarkAboveTheHighOneAndPausesAtOnce) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    EXPECT_THROW(e.client.writer.set_write_limits(10, 11), h::bad_value);
    co_await fill_up(e.client.writer);
    e.client.writer.set_write_limits(100'000'000, 100'000'000);
    co_await e.client.writer.drain();
    e.client.writer.set_write_limits(1, 0);
    auto draining = h::create_task(drain(e.client.writer));
    co_await until([&] { return waits(draining); });
    draining.cancel();
    EXPECT_TRUE(is<h::cancelled_error>(
        co_await error_of([](h::task_handle<void> t) -> h::task<> { co_await t; }(draining))));
    e.client.writer.abort();
  });
}

TEST_P(StreamWriter, ThrowsFromADrainWhenThePeerResets) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await fill_up(e.client.writer);
    auto draining = h::create_task(error_of(drain(e.client.writer)));
    co_await until([&] { return waits(draining); });
    e.server.writer.abort();
    const auto error = co_await draining;
    EXPECT_TRUE(code_of(error) == ECONNRESET || code_of(error) == EPIPE) << h::describe(error);
  });
}

TEST_P(StreamWriter, EndsALoopOfWritesWithinAFewRoundsWhenThePeerHasClosed) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    e.server.writer.close();
    co_await e.server.writer.wait_closed();
    std::exception_ptr error;
    for (int round = 0; round < 100 && !error; ++round) {
      e.client.writer.write("are you there?");
      error = co_await error_of(drain(e.client.writer));
      co_await h::sleep(1ms);
    }
    EXPECT_TRUE(code_of(error) == ECONNRESET || code_of(error) == EPIPE) << h::describe(error);
    EXPECT_TRUE(e.client.writer.is_closing());
  });
}

TEST_P(StreamWriter, DeliversAllThatIsBufferedBeforeItCloses) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::string big(3'000'000, 'w');
    e.client.writer.write(big);
    e.client.writer.close();
    e.client.writer.close();
    EXPECT_TRUE(e.client.writer.is_closing());
    e.client.writer.write("dropped");
    auto one = h::create_task(closed(e.client.writer));
    auto two = h::create_task(closed(e.client.writer));
    EXPECT_EQ((co_await e.server.reader.read()).size(), big.size());
    co_await one;
    co_await two;
    co_await e.client.writer.wait_closed();
    EXPECT_EQ(e.client.writer.buffered(), 0u);
  });
}

TEST_P(StreamWriter, DropsTheRestWhenAborted) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::size_t written = co_await fill_up(e.client.writer);
    auto draining = h::create_task(error_of(drain(e.client.writer)));
    co_await until([&] { return waits(draining); });
    e.client.writer.abort();
    co_await e.client.writer.wait_closed();
    EXPECT_NE(co_await draining, nullptr);
    std::size_t got = 0;
    const auto error = co_await error_of([](h::stream_reader& r, std::size_t& n) -> h::task<> {
      n = co_await swallow(r);
    }(e.server.reader, got));
    EXPECT_TRUE(code_of(error) == ECONNRESET || got < written) << h::describe(error);
  });
}

TEST_P(StreamWriter, EndsOnlyItsOwnDirection) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::string big(2'000'000, 'q');
    e.client.writer.write(big);
    e.client.writer.write_eof();
    e.client.writer.write_eof();
    EXPECT_THROW(e.client.writer.write("late"), h::usage_error);
    EXPECT_EQ((co_await e.server.reader.read()).size(), big.size());
    e.server.writer.write("answer\n");
    EXPECT_EQ(co_await e.client.reader.read_line(), "answer\n");
  });
}

TEST_P(StreamWriter, ClosesWhenItIsDestroyed) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    e.client.writer.write("last words");
    { const h::stream_writer gone = std::move(e.client.writer); }
    EXPECT_EQ(co_await e.server.reader.read(), "last words");
    EXPECT_FALSE(e.client.writer.valid());
    EXPECT_THROW(e.client.writer.write("x"), h::usage_error);
  });
}

TEST_P(StreamWriter, OutlivesItsRuntime) {
  auto kept = std::make_shared<std::vector<ends>>();
  run([kept]() -> h::task<> {
    kept->push_back(co_await connect_ends());
    kept->back().client.writer.write(std::string(1'000'000, 'o'));
  });
  EXPECT_TRUE(kept->back().client.writer.is_closing());
  kept->back().client.writer.write("nobody hears");
  kept->clear();
}

TEST_P(StreamWriter, NeverMixesRecordsThatTwoTasksWrite) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    constexpr std::size_t record = 1024;
    constexpr int rounds = 600;
    auto writing = [](h::stream_writer& w, char c) -> h::task<> {
      const std::string text(record, c);
      for (int i = 0; i < rounds; ++i) {
        w.write(text);
        co_await w.drain();
        if (i % 8 == 0) co_await h::yield_now();
      }
    };
    auto a = h::create_task(writing, std::ref(e.client.writer), 'a');
    auto b = h::create_task(writing, std::ref(e.client.writer), 'b');
    int seen[2] = {};
    for (int i = 0; i < 2 * rounds; ++i) {
      const std::string text = co_await e.server.reader.read_exactly(record);
      EXPECT_EQ(text, std::string(record, text[0]));
      ++seen[text[0] == 'a' ? 0 : 1];
    }
    EXPECT_EQ(seen[0], rounds);
    EXPECT_EQ(seen[1], rounds);
    co_await a;
    co_await b;
  });
}

TEST_P(StreamWriter, KnowsBothAddresses) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    EXPECT_EQ(e.client.writer.peer_address(), e.server.writer.local_address());
    EXPECT_EQ(e.client.writer.local_address(), e.server.writer.peer_address());
    EXPECT_EQ(e.client.writer.peer_address().host(), "127.0.0.1");
  });
}

// --- connecting ---

class Connecting : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, Connecting, testing::ValuesIn(all_setups()), name_of);

TEST_P(Connecting, NamesTheCallAndTheAddressWhenNobodyListens) {
  run([]() -> h::task<> {
    auto nothing = [](h::connection) {};
    auto s = co_await h::start_server(nothing, "127.0.0.1", 0);
    const auto port = s.port();
    s.close();
    co_await s.wait_closed();
    const auto error = co_await error_of(h::open_connection("127.0.0.1", port));
    EXPECT_EQ(code_of(error), ECONNREFUSED);
    EXPECT_NE(h::describe(error).find("connect 127.0.0.1:" + std::to_string(port)),
              std::string::npos)
        << h::describe(error);
  });
}

TEST_P(Connecting, FindsLocalhostAndTriesItsAddressesInTurn) {
  run([]() -> h::task<> {
    auto greet = [](h::stream_reader, h::stream_writer w) { w.write("hello"); };
    // Only IPv4 listens; where the name has an IPv6 address too, that one fails first.
    auto s = co_await h::start_server(greet, "127.0.0.1", 0);
    auto c = co_await h::open_connection("localhost", s.port());
    EXPECT_EQ(co_await c.reader.read(), "hello");
  });
}

TEST_P(Connecting, LeavesNoDescriptorWhenItIsCancelled) {
  // A listener whose backlog is full answers nothing: the attempt hangs.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto at = h::address::ip("127.0.0.1", 0);
  ASSERT_EQ(::bind(listener, at.data(), at.size()), 0);
  ASSERT_EQ(::listen(listener, 0), 0);
  const auto where = h::address::local_of(listener);
  run([where]() -> h::task<> {
    auto first = co_await h::open_connection("127.0.0.1", where.port());
    const auto before = open_descriptors();
    for (int i = 0; i < 10; ++i) {
      auto hanging = h::create_task(h::open_connection("127.0.0.1", where.port()));
      for (int k = 0; k < 5 && !hanging.done(); ++k) co_await h::sleep(100us);
      hanging.cancel();
      (void)co_await error_of([](h::task_handle<h::connection> t) -> h::task<> {
        auto c = co_await std::move(t);
        c.writer.abort();
      }(hanging));
    }
    co_await until([&] { return open_descriptors() <= before; });
  });
  ::close(listener);
}

}  // namespace
