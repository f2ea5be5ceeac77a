// SPDX-License-Identifier: MIT
// One type of stream for all that carries bytes; its halves, and what it has carried.
#include "tls_support.h"

#include <heddle/io/copy.h>
#include <heddle/io/pipe.h>

#include <array>

namespace {

using namespace conformance;

REACTOR_CASES(IO_STREAM_KINDS);

/// Answers lines until there are no more. Knows nothing of what carries them.
h::task<> answer_lines(h::stream_reader& r, h::stream_writer& w) {
  for (;;) {
    const std::string line = co_await r.read_line();
    if (line.empty()) break;
    w.write("re: " + line);
    co_await w.drain();
  }
  w.close();
}
h::task<> answer_connection(h::connection c) { co_await answer_lines(c.reader, c.writer); }

/// Asks, and yields the answers.
h::task<std::string> converse(h::stream_reader& r, h::stream_writer& w) {
  w.write("one\n");
  std::string all = co_await r.read_line();
  w.write("two\n");
  all += co_await r.read_line();
  w.write_eof();
  all += co_await r.read();
  co_return all;
}

TEST_P(IO_STREAM_KINDS, IO_STREAM_12_OneHandlerServesTcpUnixTlsPipesAndMemory) {
  run([]() -> h::task<> {
    const std::string expected = "re: one\nre: two\n";
    auto tcp = co_await h::start_server(answer_connection, here, 0);
    auto by_tcp = co_await h::open_connection(here, tcp.port());
    std::string got = co_await converse(by_tcp.reader, by_tcp.writer);
    EQUAL(got, expected);
    auto tls = co_await h::start_server(answer_connection, here, 0, with_tls());
    auto sealed = co_await h::open_connection(here, tls.port(), by_tls());
    got = co_await converse(sealed.reader, sealed.writer);
    EQUAL(got, expected);
    const std::string path = fresh_path("kinds");
    auto local = co_await h::start_unix_server(answer_connection, path);
    auto by_path = co_await h::open_unix_connection(path);
    got = co_await converse(by_path.reader, by_path.writer);
    EQUAL(got, expected);
    h::pipe_pair there = h::make_pipe();
    h::pipe_pair back = h::make_pipe();
    auto serving = h::create_task(answer_lines, std::ref(there.reader), std::ref(back.writer));
    got = co_await converse(back.reader, there.writer);
    EQUAL(got, expected);
    co_await serving;
    auto ends = h::memory_pair();
    auto in_memory = h::create_task(answer_connection, std::move(ends.second));
    got = co_await converse(ends.first.reader, ends.first.writer);
    EQUAL(got, expected);
    co_await in_memory;
  });
}

h::task<> copy_all(h::connection& a, h::connection& b, h::copied_bytes& counts) {
  (void)co_await h::copy(a, b, counts);
}

/// A server that answers one line, over TLS up to that version, and ends without waiting for its
/// client's end.
h::server_options up_to(h::tls_version version) {
  h::tls_server_options o = as_localhost();
  o.max_version = version;
  return with_tls(h::tls_context::server(o));
}

TEST_P(IO_STREAM_KINDS, IO_STREAM_03_OverTls12TheOtherWayIsServedToItsEndAndTheEndIsPassedOn) {
  run([]() -> h::task<> {
    for (const auto version : {h::tls_version::v1_2, h::tls_version::v1_3}) {
      auto connecting = connect_tls_ends(up_to(version), by_tls());
      ends far = co_await std::move(connecting);
      auto near = h::memory_pair();
      EQUAL(far.client.writer.can_write_eof(), version == h::tls_version::v1_3);
      h::copied_bytes counts;
      auto copying =
          h::create_task(copy_all, std::ref(near.second), std::ref(far.client), std::ref(counts));
      near.first.writer.write("question\n");
      near.first.writer.write_eof();
      const std::string question = co_await far.server.reader.read_line();
      EQUAL(question, "question\n");
      const std::string answer(300'000, 'a');
      far.server.writer.write(answer);
      const std::string some = co_await near.first.reader.read_exactly(1000);
      HOLDS(!copying.done());
      auto closing = h::create_task(far.server.writer.close_within(patience));
      const std::string rest = co_await near.first.reader.read();
      HOLDS(some + rest == answer);
      co_await copying;
      EQUAL(counts.there, 9u);
      EQUAL(counts.back, answer.size());
      const bool in_order = co_await closing;  // our close_notify has come
      HOLDS(in_order);
    }
  });
}

TEST_P(IO_STREAM_KINDS, IO_STREAM_20_HalvesOfOneConnectionAreOneConnectionAgain) {
  run([]() -> h::task<> {
    auto [a, b] = h::memory_pair();
    auto [c, d] = h::memory_pair();
    h::stream_reader reader = std::move(a.reader);
    h::stream_writer writer = std::move(a.writer);
    THROWS(h::usage_error, h::reunite(std::move(reader), std::move(c.writer)));
    THROWS(h::usage_error, h::reunite(std::move(reader), std::move(a.writer)));  // empty
    h::connection whole = h::reunite(std::move(reader), std::move(writer));
    HOLDS(!reader.valid() && !writer.valid());
    whole.writer.write("still one\n");
    const std::string line = co_await b.reader.read_line();
    EQUAL(line, "still one\n");
    c.writer.write("and another\n");  // the refused half is as it was
    const std::string other = co_await d.reader.read_line();
    EQUAL(other, "and another\n");
  });
}

TEST_P(IO_STREAM_KINDS, IO_STREAM_24_AStreamTellsWhatItHasCarriedAndWhen) {
  run([]() -> h::task<> {
    const auto server = co_await h::start_server(answer_connection, here, 0);
    auto by_tcp = co_await h::open_connection(here, server.port());
    auto pair = h::memory_pair();
    auto serving = h::create_task(answer_connection, std::move(pair.second));
    for (h::connection* c : {&by_tcp, &pair.first}) {
      const auto began = h::clock::now();
      const h::stream_stats none = c->writer.stats();
      EQUAL(none.bytes_in + none.bytes_out, 0u);
      HOLDS(none.last() == h::time_point());
      c->writer.write("hello\n");
      const std::string got = co_await c->reader.read_line();
      EQUAL(got, "re: hello\n");
      co_await until([c] { return c->writer.stats().bytes_out == 6; });
      const h::stream_stats s = c->reader.stats();
      EQUAL(s.bytes_in, 10u);
      HOLDS(s.last_in != h::time_point() && s.last_out != h::time_point());
      HOLDS(s.last() <= h::clock::now());
      // The loop's last poll may be older than the message, but not by minutes.
      HOLDS(began - s.last_in < 60s);
      c->writer.close();
      HOLDS(c->writer.stats().bytes_in == 10);
    }
    co_await serving;
  });
}

/// Text of pieces of many lengths, each followed by a drain.
h::task<> pour_text(h::stream_writer& w, std::string text) {
  std::string_view rest = text;
  for (std::size_t n = 1; !rest.empty(); n = n * 7 % 31) {
    const std::size_t size = std::min(n, rest.size());
    w.write(rest.substr(0, size));
    rest.remove_prefix(size);
    co_await w.drain();
  }
  w.write_eof();
}
h::task<std::string> read_text(h::stream_reader& r) {
  std::string all = co_await r.read();
  co_return all;
}

h::task<> both_ways(std::size_t buffer) {
  auto [a, b] = h::memory_pair(buffer);
  a.writer.set_write_limits(buffer, buffer / 2);
  b.writer.set_write_limits(buffer, buffer / 2);
  std::string text;
  for (int i = 0; text.size() < 2000; ++i) text += std::to_string(i) + ",";
  auto there = h::create_task(pour_text, std::ref(a.writer), text);
  auto back = h::create_task(pour_text, std::ref(b.writer), text);
  auto read_there = h::create_task(read_text, std::ref(b.reader));
  auto read_back = h::create_task(read_text, std::ref(a.reader));
  co_await there;
  co_await back;
  const std::string& got_there = co_await read_there;
  const std::string& got_back = co_await read_back;
  HOLDS(got_there == text && got_back == text);
}

TEST_P(IO_STREAM_KINDS, IO_STREAM_11_APairOfBoundedBuffersCarriesAllBothWays) {
  for (const std::size_t buffer : {std::size_t{1}, std::size_t{3}, std::size_t{64}}) {
    run([buffer] { return both_ways(buffer); });
    h::testing::simulation_limits limits;
    limits.steps = 50'000'000;
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
      h::testing::simulate(seed, with(), [buffer] { return both_ways(buffer); }, limits);
  }
}

}  // namespace
