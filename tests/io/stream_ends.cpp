// SPDX-License-Identifier: MIT
// The ends of a connection: the table in io/README.md, row by row. A row is the state of one
// writer; the test asks every column of it.
#include "io/runtime.h"

#include <heddle/sync/queue.h>

#include <support/streams.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace io_test;
using support::fill_up;
using support::swallow;

class StreamEnds : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, StreamEnds, testing::ValuesIn(all_ways()), name_of);

bool is_broken(int code) { return code == ECONNRESET || code == EPIPE; }

h::task<int> drain_code(h::stream_writer& w) {
  const auto error = co_await error_of(drain(w));
  co_return code_of(error);
}
h::task<int> closed_code(h::stream_writer& w) {
  const auto error = co_await error_of(closed(w));
  co_return code_of(error);
}
/// Writes until the peer's reset shows: io_uring watches a socket no more whose input has ended.
h::task<int> code_of_writing(h::stream_writer& w) {
  for (;;) {
    w.write("x");
    const int code = co_await drain_code(w);
    if (code != 0) co_return code;
    co_await h::sleep(1ms);
  }
}
h::task<int> read_code(h::stream_reader& r) {
  const auto error = co_await error_of(r.read(1));
  co_return code_of(error);
}
h::task<bool> close_within(h::stream_writer& w, h::duration limit) { return w.close_within(limit); }

h::task<bool> result_of(h::task_handle<bool> t) {
  const bool result = co_await t;
  co_return result;
}

/// What is written in a closed state is dropped, at once and silently.
void expect_writes_are_dropped(h::stream_writer& w) {
  const auto before = w.buffered();
  w.write("dropped");
  w.write_eof();
  w.write("dropped");
  EXPECT_LE(w.buffered(), before);
  EXPECT_TRUE(w.is_closing());
}

TEST_P(StreamEnds, OpenEverythingGoesOnWhateverThePeerHasEnded) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    EXPECT_FALSE(e.server.writer.is_closing());
    EXPECT_TRUE(e.server.reader.quiet());
    e.client.writer.write("question");
    e.client.writer.write_eof();
    const std::string question = co_await e.server.reader.read();
    EXPECT_EQ(question, "question");
    EXPECT_FALSE(e.server.reader.quiet());  // the end was told
    const std::string end = co_await e.server.reader.read();
    EXPECT_EQ(end, "");
    EXPECT_FALSE(e.server.writer.is_closing());
    e.server.writer.write("answer");
    EXPECT_EQ(co_await drain_code(e.server.writer), 0);
    const std::string answer = co_await e.client.reader.read_exactly(6);
    EXPECT_EQ(answer, "answer");
    auto waiting = h::create_task(closed_code(e.server.writer));
    co_await until([&] { return waits(waiting); });
    e.server.writer.close();
    EXPECT_EQ(co_await waiting, 0);
  });
}

TEST_P(StreamEnds, HalfClosedReadsOnAndRefusesToWrite) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    auto& w = e.server.writer;
    w.write("last");
    w.write_eof();
    EXPECT_FALSE(w.is_closing());
    EXPECT_THROW(w.write("late"), h::usage_error);
    w.write_eof();
    EXPECT_EQ(co_await drain_code(w), 0);
    const std::string last = co_await e.client.reader.read();
    EXPECT_EQ(last, "last");
    e.client.writer.write("still heard");
    const std::string heard = co_await e.server.reader.read(100);
    EXPECT_EQ(heard, "still heard");
    auto waiting = h::create_task(closed_code(w));
    co_await until([&] { return waits(waiting); });
    w.close();
    EXPECT_EQ(co_await waiting, 0);
  });
}

TEST_P(StreamEnds, DrainingDeliversWhatWasWrittenAndTellsADrainThatItIsClosed) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    auto& w = e.server.writer;
    const std::size_t written = co_await fill_up(w);
    auto early = h::create_task(drain_code(w));
    co_await until([&] { return waits(early); });
    w.close();
    w.close();
    expect_writes_are_dropped(w);
    EXPECT_EQ(co_await drain_code(w), ECONNRESET);
    e.client.writer.write("heard");
    const std::string heard = co_await e.server.reader.read_exactly(5);
    EXPECT_EQ(heard, "heard");
    auto waiting = h::create_task(closed_code(w));
    co_await until([&] { return waits(waiting); });
    EXPECT_EQ(co_await swallow(e.client.reader), written);
    EXPECT_EQ(co_await early, 0);  // it began before close(), and all was sent
    EXPECT_EQ(co_await waiting, 0);
    EXPECT_EQ(w.buffered(), 0u);
  });
}

TEST_P(StreamEnds, DrainingAsksNothingOfTheReactorForASmallMessageEither) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    e.server.writer.write("small");
    e.server.writer.close();
    e.server.writer.write("dropped");
    EXPECT_EQ(co_await drain_code(e.server.writer), ECONNRESET);
    const std::string got = co_await e.client.reader.read();
    EXPECT_EQ(got, "small");
    EXPECT_EQ(co_await closed_code(e.server.writer), 0);
    EXPECT_EQ(co_await drain_code(e.server.writer), ECONNRESET);
  });
}

TEST_P(StreamEnds, DrainingEndsWithTheErrorWhenThePeerResets) {
  run([how = GetParam()]() -> h::task<> {
    auto first = co_await connect_ends(how);  // what a loop opens once is open from here on
    const auto before = open_descriptors();
    for (int round = 0; round < 4; ++round) {
      auto e = co_await connect_ends(how);
      auto& w = e.server.writer;
      co_await fill_up(w);
      e.client.writer.write_eof();
      while (co_await e.server.reader.fill()) {}
      auto early = h::create_task(drain_code(w));
      co_await until([&] { return waits(early); });
      w.close();
      EXPECT_NE(w.buffered(), 0u);
      e.client.writer.abort();
      EXPECT_TRUE(is_broken(co_await closed_code(w)));
      EXPECT_TRUE(is_broken(co_await early));
      EXPECT_TRUE(is_broken(co_await drain_code(w)));
      co_await until([&] { return w.native_handle() == -1 && w.buffered() == 0; });
    }
    co_await until([&] { return open_descriptors() <= before; });
  });
}

TEST_P(StreamEnds, DrainingIsCutShortByAnAbort) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    auto& w = e.server.writer;
    const std::size_t written = co_await fill_up(w);
    auto early = h::create_task(drain_code(w));
    co_await until([&] { return waits(early); });
    w.close();
    w.abort();
    EXPECT_EQ(co_await early, ECONNRESET);
    EXPECT_EQ(co_await closed_code(w), 0);
    EXPECT_EQ(w.buffered(), 0u);
    std::size_t got = 0;
    const auto error = co_await error_of([](h::stream_reader& r, std::size_t& n) -> h::task<> {
      n = co_await swallow(r);
    }(e.client.reader, got));
    EXPECT_TRUE(code_of(error) == ECONNRESET || got < written);
  });
}

TEST_P(StreamEnds, LingeringDropsWhatThePeerSendsUpToItsEnd) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    auto& w = e.server.writer;
    e.client.writer.write(std::string(300'000, 'u'));  // nobody reads: a close would reset
    w.write("answer");
    auto closing = h::create_task(close_within(w, 30s));
    const std::string answer = co_await e.client.reader.read();
    EXPECT_EQ(answer, "answer");
    EXPECT_FALSE(closing.done());
    expect_writes_are_dropped(w);
    EXPECT_EQ(co_await drain_code(w), ECONNRESET);
    EXPECT_TRUE(is<h::usage_error>(co_await error_of(e.server.reader.read(1))));  // it reads
    auto waiting = h::create_task(closed_code(w));
    co_await until([&] { return waits(waiting); });
    e.client.writer.write(std::string(300'000, 'u'));
    EXPECT_EQ(co_await drain_code(e.client.writer), 0);
    e.client.writer.close();
    EXPECT_TRUE(co_await closing);
    EXPECT_EQ(co_await waiting, 0);
    EXPECT_EQ(co_await closed_code(e.client.writer), 0);
  });
}

TEST_P(StreamEnds, LingeringEndsWithItsDeadlineWhetherOutputIsPendingOrNot) {
  run([how = GetParam()]() -> h::task<> {
    for (const bool pending : {false, true}) {
      auto e = co_await connect_ends(how);
      auto& w = e.server.writer;
      if (pending) co_await fill_up(w);
      const bool in_order = co_await close_within(w, 20ms);
      EXPECT_FALSE(in_order);
      EXPECT_EQ(co_await closed_code(w), 0);
      EXPECT_EQ(w.buffered(), 0u);
      EXPECT_TRUE(is_broken(co_await code_of_writing(e.client.writer)));
    }
  });
}

TEST_P(StreamEnds, LingeringEndsWhenThePeerResetsOrItsTaskIsCancelled) {
  run([how = GetParam()]() -> h::task<> {
    for (const bool cancels : {false, true}) {
      auto e = co_await connect_ends(how);
      auto& w = e.server.writer;
      auto closing = h::create_task(close_within(w, 30s));
      const std::string end = co_await e.client.reader.read();
      EXPECT_EQ(end, "");
      if (cancels) {
        closing.cancel();
        const auto error = co_await error_of(result_of(closing));
        EXPECT_TRUE(is<h::cancelled_error>(error));
        EXPECT_EQ(co_await closed_code(w), 0);
        EXPECT_TRUE(is_broken(co_await code_of_writing(e.client.writer)));
      } else {
        e.client.writer.abort();
        EXPECT_FALSE(co_await closing);
        EXPECT_TRUE(is_broken(co_await closed_code(w)));
      }
    }
  });
}

TEST_P(StreamEnds, BrokenGivesWhatCameFirstAndThenTheErrorEverywhere) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    auto& w = e.server.writer;
    e.client.writer.write("before");
    while (e.server.reader.buffered().size() < 6) (void)co_await e.server.reader.fill();
    e.client.writer.abort();
    EXPECT_EQ(co_await closed_code(w), ECONNRESET);  // told, although nobody reads
    expect_writes_are_dropped(w);
    EXPECT_EQ(co_await drain_code(w), ECONNRESET);
    const std::string before = co_await e.server.reader.read_exactly(6);
    EXPECT_EQ(before, "before");
    EXPECT_EQ(co_await read_code(e.server.reader), ECONNRESET);
    EXPECT_FALSE(e.server.reader.quiet());
    EXPECT_FALSE(co_await close_within(w, 30s));
    w.close();
    w.abort();
    EXPECT_EQ(co_await closed_code(w), ECONNRESET);
    co_await until([&] { return w.native_handle() == -1; });
  });
}

TEST_P(StreamEnds, AbortedAndGoneTellADrainAndAReaderTheEnd) {
  run([how = GetParam()]() -> h::task<> {
    for (const bool aborts : {true, false}) {
      auto e = co_await connect_ends(how);
      auto& w = e.server.writer;
      auto reading = h::create_task(read_code(e.server.reader));
      co_await until([&] { return waits(reading); });
      if (aborts)
        w.abort();
      else
        w.close();
      EXPECT_EQ(co_await reading, 0);  // the end, and no error: we have closed
      EXPECT_EQ(co_await closed_code(w), 0);
      EXPECT_EQ(co_await closed_code(w), 0);
      expect_writes_are_dropped(w);
      EXPECT_EQ(co_await drain_code(w), ECONNRESET);
      EXPECT_EQ(co_await read_code(e.server.reader), 0);
      EXPECT_EQ(w.native_handle(), -1);
      w.close();
      w.abort();
      (void)co_await close_within(w, 1s);
      EXPECT_EQ(co_await closed_code(w), 0);
      EXPECT_EQ(co_await read_code(e.client.reader), aborts ? ECONNRESET : 0);
    }
  });
}

TEST_P(StreamEnds, AKeptConnectionIsQuietUntilThePeerSaysAnything) {
  run([how = GetParam()]() -> h::task<> {
    for (int what = 0; what < 3; ++what) {
      auto e = co_await connect_ends(how);
      e.client.writer.write("1");
      const std::string one = co_await e.server.reader.read(1);
      EXPECT_EQ(one, "1");
      EXPECT_TRUE(e.server.reader.quiet());
      auto reading = h::create_task(read_code(e.client.reader));
      co_await until([&] { return waits(reading); });
      EXPECT_THROW((void)e.client.reader.quiet(), h::usage_error);
      if (what == 0) e.client.writer.write("unasked");
      if (what == 1) e.client.writer.write_eof();
      if (what == 2) e.client.writer.abort();
      co_await until([&] { return !e.server.reader.quiet(); });
      e.server.writer.abort();
      (void)co_await reading;
    }
  });
}

// --- a server, and the end of the runtime ---

class ConnectionEnds : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, ConnectionEnds, testing::ValuesIn(all_setups()), name_of);

/// Four connections of a server: open, half closed, draining with output pending, lingering.
struct in_each_stage {
  h::server server;
  std::vector<h::connection> clients;
  std::vector<h::connection> served;
  h::task_handle<bool> lingering;
};

h::task<std::shared_ptr<in_each_stage>> serve_in_each_stage() {
  auto all = std::make_shared<in_each_stage>();
  auto arrived = std::make_shared<h::queue<h::connection>>();
  auto take = [arrived](h::connection c) -> h::task<> { co_await arrived->put(std::move(c)); };
  all->server = co_await h::start_server(take, "127.0.0.1", 0);
  for (int i = 0; i < 4; ++i) {
    all->clients.push_back(co_await h::open_connection("127.0.0.1", all->server.port()));
    all->served.push_back(co_await arrived->get());
  }
  all->served[1].writer.write_eof();
  co_await fill_up(all->served[2].writer);
  all->served[2].writer.close();
  all->lingering = h::create_task(close_within(all->served[3].writer, 1h));
  const std::string end = co_await all->clients[3].reader.read();
  EXPECT_EQ(end, "");
  EXPECT_EQ(all->server.connections(), 4u);
  co_return all;
}

TEST_P(ConnectionEnds, AServersAbortClientsEndsThemInEveryStage) {
  run([]() -> h::task<> {
    auto all = co_await serve_in_each_stage();
    all->server.abort_clients();
    co_await until([&] { return all->server.connections() == 0; });
    (void)co_await all->lingering;
    for (auto& c : all->served) {
      EXPECT_EQ(co_await closed_code(c.writer), 0);
      EXPECT_EQ(c.writer.buffered(), 0u);
    }
  });
}

TEST_P(ConnectionEnds, AServersCloseClientsWaitsForPendingOutputOnly) {
  run([]() -> h::task<> {
    auto all = co_await serve_in_each_stage();
    all->server.close_clients();
    co_await until([&] { return all->server.connections() == 1; });
    (void)co_await all->lingering;
    EXPECT_NE(all->served[2].writer.buffered(), 0u);
    EXPECT_GT(co_await swallow(all->clients[2].reader), 0u);
    co_await until([&] { return all->server.connections() == 0; });
  });
}

TEST_P(ConnectionEnds, TheEndOfTheRuntimeAbortsThemInEveryStage) {
  auto kept = std::make_shared<std::shared_ptr<in_each_stage>>();
  run([kept]() -> h::task<> { *kept = co_await serve_in_each_stage(); });
  for (auto& c : (*kept)->served) {
    EXPECT_TRUE(c.writer.is_closing());
    EXPECT_EQ(c.writer.native_handle(), -1);
    EXPECT_EQ(c.writer.buffered(), 0u);
  }
}

}  // namespace
