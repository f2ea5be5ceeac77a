// SPDX-License-Identifier: MIT
// TLS: how a connection ends, in order and out of it.
#include "tls_support.h"

#include <sys/socket.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_TLS_ENDS);

h::server_options server_of(h::tls_version version) {
  h::tls_server_options o = as_localhost();
  o.max_version = version;
  return with_tls(h::tls_context::server(o));
}

h::task<ends> with_version(h::tls_version version) {
  return connect_tls_ends(server_of(version), by_tls());
}

constexpr h::tls_version both[] = {h::tls_version::v1_2, h::tls_version::v1_3};

TEST_P(IO_TLS_ENDS, IO_TLS_27_CloseSendsAllThenItsEnd) {
  run([]() -> h::task<> {
    for (const auto version : both) {
      ends e = co_await with_version(version);
      const std::size_t size = std::size_t{4} * 1024 * 1024;
      e.client.writer.write(std::string(size, 'q'));
      e.client.writer.close();
      std::size_t got = 0;
      while (co_await e.server.reader.fill()) {
        got += e.server.reader.buffered().size();
        e.server.reader.consume(e.server.reader.buffered().size());
        co_await h::yield_now();
      }
      EQUAL(got, size);
      co_await e.client.writer.wait_closed();
    }
  });
}

// The end of the peer's TLS comes as bytes. A socket that is closed with bytes unread resets its
// peer, and forgets what it has yet to send.
TEST_P(IO_TLS_ENDS, IO_TLS_27_AnUnreadEndOfThePeerCostsItNoByte) {
  run([]() -> h::task<> {
    for (const bool tickets : {true, false}) {
      h::tls_server_options o = as_localhost();
      o.tickets = tickets;
      auto connecting = connect_tls_ends(with_tls(h::tls_context::server(o)), by_tls());
      ends e = co_await std::move(connecting);
      const std::size_t size = std::size_t{4} * 1024 * 1024;
      e.client.writer.write("question\n");
      e.client.writer.write_eof();
      const std::string question = co_await e.server.reader.read_line();
      EQUAL(question, "question\n");
      auto there = until([&e] { return !e.server.reader.quiet(); });
      co_await std::move(there);
      e.server.writer.write(std::string(size, 'a'));
      e.server.writer.close();
      const std::string answer = co_await e.client.reader.read(-1);
      EQUAL(answer.size(), size);
    }
  });
}

h::task<> pour(h::stream_writer& w) {
  const std::string block(16 * 1024, 'p');
  for (;;) {
    w.write(block);
    co_await w.drain();
  }
}

TEST_P(IO_TLS_ENDS, IO_TLS_29_AClosingEndDropsWhatThePeerStillSends) {
  run([]() -> h::task<> {
    ends e = co_await connect_tls_ends();
    auto pouring = h::create_task(error_of(pour(e.client.writer)));
    e.server.writer.write("bye\n");
    const std::string bye = co_await e.client.reader.read_line();
    EQUAL(bye, "bye\n");
    e.server.writer.close();
    co_await e.server.writer.wait_closed();  // without an error
    const std::exception_ptr& error = co_await pouring;
    HOLDS(is_broken(error)) << text_of(error);

    ends f = co_await connect_tls_ends();
    f.client.writer.write(std::string(100'000, 'x'));
    f.server.writer.write("answer");
    auto closing = h::create_task(f.server.writer.close_within(patience));
    const std::string answer = co_await f.client.reader.read(-1);
    EQUAL(answer, "answer");
    f.client.writer.close();
    const bool in_order = co_await closing;
    HOLDS(in_order);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_TLS_ENDS, IO_TLS_31_AStreamThatIsCutOffIsTheOneErrorOfThat) {
  run([]() -> h::task<> {
    for (const auto version : both) {
      for (const int state : {0, 1, 2, 3}) {  // idle, read before, unread bytes, mid write
        ends e = co_await with_version(version);
        if (state == 1) {
          e.server.writer.write("x\n");
          (void)co_await e.client.reader.read_line();
        }
        if (state == 2) e.server.writer.write("some bytes");
        if (state == 3) e.client.writer.write("question");
        co_await e.server.writer.drain();
        ::shutdown(e.server.writer.native_handle(), SHUT_WR);
        const auto error = co_await error_of(e.client.reader.read_exactly(1000));
        HOLDS(as<h::tls_truncated_error>(error) != nullptr) << state << ": " << text_of(error);
        const auto again = co_await error_of(e.client.reader.read_exactly(1000));
        HOLDS(has_code(again, h::tls_errc::truncated)) << state << ": " << text_of(again);
      }
    }
  });
}

TEST_P(IO_TLS_ENDS, IO_TLS_32_WithTls13OneDirectionEndsAlone) {
  run([]() -> h::task<> {
    ends e = co_await with_version(h::tls_version::v1_3);
    e.client.writer.write("question");
    e.client.writer.write_eof();
    const std::string question = co_await e.server.reader.read(-1);
    EQUAL(question, "question");
    e.server.writer.write("answer");
    e.server.writer.close();
    const std::string answer = co_await e.client.reader.read(-1);
    EQUAL(answer, "answer");
    e.client.writer.close();
    co_await e.client.writer.wait_closed();
    co_await e.server.writer.wait_closed();
    ends f = co_await with_version(h::tls_version::v1_2);
    THROWS(h::usage_error, f.client.writer.write_eof());
    f.client.writer.write("still there\n");
    const std::string line = co_await f.server.reader.read_line();
    EQUAL(line, "still there\n");
  });
}

h::task<> write_and_close(std::uint16_t port, h::connection_options o, std::string bytes) {
  auto c = co_await h::open_connection(here, port, o);
  c.writer.write(bytes);
  c.writer.close();
  co_await c.writer.wait_closed();
}

TEST_P(IO_TLS_ENDS, IO_TLS_33_AClientThatNeverReadsLosesNothingToTickets) {
  run([]() -> h::task<> {
    const std::string sent(4096, 't');
    std::atomic<std::size_t> whole{0};
    std::atomic<std::size_t> other{0};
    auto handler = [&](h::stream_reader r, h::stream_writer) -> h::task<> {
      std::string got;
      const auto error =
          co_await error_of([](h::stream_reader& from, std::string& to) -> h::task<> {
            to = co_await from.read(-1);
          }(r, got));
      ++(!error && got == sent ? whole : other);
    };
    auto s = co_await h::start_server(handler, here, 0, with_tls());
    const auto o = by_tls();
    const auto n = sized(60, 1000);
    for (std::size_t i = 0; i < n; ++i) {
      auto one = write_and_close(s.port(), o, sent);
      co_await std::move(one);
    }
    s.close();
    co_await s.wait_closed();
    EQUAL(whole.load(), n);
    EQUAL(other.load(), 0u);
  });
}

TEST_P(IO_TLS_ENDS, IO_TLS_34_WritesAfterTheEndAreDropped) {
  run([]() -> h::task<> {
    ends e = co_await connect_tls_ends();
    e.client.writer.close();
    co_await e.client.writer.wait_closed();
    for (int i = 0; i < 3; ++i) {
      e.client.writer.write("nobody reads this");
      EQUAL(e.client.writer.buffered(), 0u);
      const auto error = co_await error_of(drain(e.client.writer));
      EQUAL(code_of(error), ECONNRESET);
    }
    const std::string end = co_await e.server.reader.read(-1);
    EQUAL(end, "");
  });
}

TEST_P(IO_TLS_ENDS, IO_TLS_35_ABrokenSocketIsKnownAtOnce) {
  run([]() -> h::task<> {
    ends e = co_await connect_tls_ends();
    auto waiting = h::create_task(error_of(wait_closed(e.client.writer)));
    co_await until_waiting(waiting);
    e.server.writer.abort();
    const std::exception_ptr& error = co_await waiting;
    HOLDS(is_broken(error)) << text_of(error);
    HOLDS(e.client.writer.is_closing());
    const auto drained = co_await error_of(drain(e.client.writer));
    HOLDS(is_broken(drained)) << text_of(drained);
  });
}

}  // namespace
