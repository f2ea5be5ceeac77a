// SPDX-License-Identifier: MIT
// How connections end: a close while the peer still sends, and a Unix peer that goes.
#include "reactor_cases.h"

#include <heddle/io/address.h>

#include <atomic>

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN_CLOSING);

const std::string here = "127.0.0.1";

/// Sends until the connection does not take it any more.
h::task<> send_on(h::stream_writer& w, std::atomic<bool>& stop) {
  const std::string block(64 * 1024, 's');
  try {
    while (!stop.load() && !w.is_closing()) {
      w.write(block);
      co_await w.drain();
    }
  } catch (const std::system_error&) {
    // It was reset: that is its end.
  }
}

constexpr std::size_t answer_size = 300'000;

/// Answers after the first bytes, and closes while the client sends on.
auto answering(std::atomic<int>& ended, h::duration limit) {
  return [&ended, limit](h::stream_reader r, h::stream_writer w) -> h::task<> {
    (void)co_await r.fill();
    w.write(std::string(answer_size, 'a'));
    const bool in_order = co_await w.close_within(limit);
    ended = in_order ? 1 : 2;
  };
}

TEST_P(IO_CONN_CLOSING, IO_CONN_13_AClientThatStillSendsReadsTheLastBytes) {
  run([]() -> h::task<> {
    std::atomic<int> ended{0};
    auto starting = h::start_server(answering(ended, 60s), here, 0);
    h::server s = co_await starting;
    h::connection c = co_await h::open_connection(here, s.port());
    std::atomic<bool> stop{false};
    auto sending = h::create_task(send_on(c.writer, stop));
    const std::size_t got = co_await swallow(c.reader);  // up to the end: no reset came before
    EQUAL(got, answer_size);
    stop = true;
    co_await sending;
    c.writer.close();
    co_await until([&] { return ended.load() != 0; });
    EQUAL(ended.load(), 1);
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN_CLOSING, IO_CONN_13_AClientThatNeverStopsIsWaitedForNoLongerThanTheLimit) {
  run([]() -> h::task<> {
    std::atomic<int> ended{0};
    auto starting = h::start_server(answering(ended, 100ms), here, 0);
    h::server s = co_await starting;
    h::connection c = co_await h::open_connection(here, s.port());
    std::atomic<bool> stop{false};
    auto sending = h::create_task(send_on(c.writer, stop));
    co_await until([&] { return ended.load() != 0; });
    EQUAL(ended.load(), 2);
    co_await sending;  // the reset ends it
    c.writer.abort();
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), 0u);
}

/// What a handler finds that only waits for the end of its connection.
struct found {
  std::atomic<int> ends{0};
  std::atomic<bool> read_the_rest{false};
};

auto waiting(found& all, const std::string& expected) {
  return [&all, expected](h::stream_reader r, h::stream_writer w) -> h::task<> {
    co_await w.wait_closed();
    co_await w.wait_closed();  // it is known from then on
    ++all.ends;
    const std::string rest = co_await r.read();
    all.read_the_rest = rest == expected;
    w.close();
    co_await w.wait_closed();
    ++all.ends;
  };
}

TEST_P(IO_CONN_CLOSING, IO_UNIX_15_APeerThatGoesEndsTheWaitOfWhoeverNeitherReadsNorWrites) {
  run([]() -> h::task<> {
    for (const std::string sent : {"", "last words"}) {
      found all;
      const auto path = fresh_path("gone");
      auto starting = h::start_unix_server(waiting(all, sent), path);
      h::server s = co_await std::move(starting);
      {
        h::connection c = co_await h::open_unix_connection(path);
        if (!sent.empty()) c.writer.write(sent);
        co_await until([&] { return s.connections() == 1; });
        c.writer.close();
        co_await c.writer.wait_closed();
      }
      co_await until([&] { return all.ends.load() == 2; });
      HOLDS(all.read_the_rest.load());
      s.close();
      co_await s.wait_closed();
    }
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN_CLOSING, IO_UNIX_15_APeerThatEndsItsDirectionAloneHasNotGone) {
  run([]() -> h::task<> {
    const auto path = fresh_path("half");
    auto answering_late = [](h::stream_reader r, h::stream_writer w) -> h::task<> {
      const std::string all = co_await r.read();
      w.write(all + " answered");
      w.close();
      co_await w.wait_closed();
    };
    auto starting = h::start_unix_server(answering_late, path);
    h::server s = co_await std::move(starting);
    h::connection c = co_await h::open_unix_connection(path);
    c.writer.write("question");
    c.writer.write_eof();
    const std::string answer = co_await c.reader.read();
    EQUAL(answer, "question answered");
    c.writer.close();
    co_await c.writer.wait_closed();
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
