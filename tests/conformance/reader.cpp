// SPDX-License-Identifier: MIT
#include "io_cases.h"

#include <random>

namespace {

using namespace conformance;

STREAM_CASES(RDR);

h::task<std::string> read_some(h::stream_reader& r, std::ptrdiff_t n) { return r.read(n); }

TEST_P(RDR, RDR_01_AWaitingReadTakesWhatComes) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto waiting = h::create_task(read_some, std::ref(e.server.reader), 100);
    co_await until_waiting(waiting);
    e.client.writer.write("x");
    const std::string x = co_await waiting;
    EQUAL(x, "x");
    e.client.writer.write("abcdef");
    co_await e.server.reader.fill();
    const std::string two = co_await e.server.reader.read(2);
    EQUAL(two, "ab");
  });
}

TEST_P(RDR, RDR_02_NothingIsReadForNothingAndAtTheEnd) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::string at_once = co_await e.server.reader.read(0);
    EQUAL(at_once, "");
    co_await feed(e.client, e.server.reader, words("rest"), true);
    const std::string none = co_await e.server.reader.read(0);
    EQUAL(none, "");
    const std::string rest = co_await e.server.reader.read(9);
    EQUAL(rest, "rest");
    const std::string end = co_await e.server.reader.read(9);
    EQUAL(end, "");
    const std::string all = co_await e.server.reader.read();
    EQUAL(all, "");
  });
}

TEST_P(RDR, RDR_03_ReadingToTheEndKnowsNoLimit) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(16);
    const std::string big(100'000, 'b');
    e.client.writer.write(big);
    e.client.writer.write_eof();
    const std::string all = co_await e.server.reader.read();
    HOLDS(all == big);
  });
}

TEST_P(RDR, RDR_04_ALineMayComeInPieces) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("chunk1 ", "chunk2 ", "chunk3\nrest"), false);
    const std::string line = co_await e.server.reader.read_line();
    EQUAL(line, "chunk1 chunk2 chunk3\n");
    EQUAL(e.server.reader.buffered(), "rest");
  });
}

TEST_P(RDR, RDR_05_TheEndEndsALine) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("partial"), true);
    const std::string partial = co_await e.server.reader.read_line();
    EQUAL(partial, "partial");
    const std::string nothing = co_await e.server.reader.read_line();
    EQUAL(nothing, "");
  });
}

/// The name of the error that a read ends with; a bad_value is told as such, whatever it says.
template <class T>
h::task<std::string> failure(h::task<T> work) {
  const auto e = co_await error_of(std::move(work));
  co_return name_of(e);
}

TEST_P(RDR, RDR_06_ALineOfTheLimitIsTakenALongerOneRefused) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(7);
    co_await feed(e.client, e.server.reader, words("1234567\n", "12345678\n"), false);
    const std::string line = co_await e.server.reader.read_line();
    EQUAL(line, "1234567\n");
    const std::string error = co_await failure(e.server.reader.read_line());
    EQUAL(error, "BadValue");
  });
}

TEST_P(RDR, RDR_07_ExactlyTheOverlongLineIsDropped) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(3);
    co_await feed(e.client, e.server.reader, words("line1\nab\nline3\n"), false);
    const std::string first = co_await failure(e.server.reader.read_line());
    EQUAL(first, "BadValue");
    const std::string second = co_await e.server.reader.read_line();
    EQUAL(second, "ab\n");
    const std::string third = co_await failure(e.server.reader.read_line());
    EQUAL(third, "BadValue");
    EQUAL(e.server.reader.buffered(), "");
  });
}

TEST_P(RDR, RDR_08_OverlongDataWithoutANewlineIsDropped) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(3);
    co_await feed(e.client, e.server.reader, words("12345"), false);
    const std::string error = co_await failure(e.server.reader.read_line());
    EQUAL(error, "BadValue");
    EQUAL(e.server.reader.buffered(), "");
    e.client.writer.write("ok\n");
    const std::string line = co_await e.server.reader.read_line();
    EQUAL(line, "ok\n");
  });
}

TEST_P(RDR, RDR_09_ASeparatorMayBeSplitWithFalseStarts) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto waiting = h::create_task(
        [](h::stream_reader& r) -> h::task<std::string> { return r.read_until("aaa"); },
        std::ref(e.server.reader));
    for (const char* piece : {"xa", "axa", "a", "ab"}) {
      co_await until_waiting(waiting);
      e.client.writer.write(piece);
    }
    const std::string got = co_await waiting;
    EQUAL(got, "xaaxaaa");
    const std::string rest = co_await e.server.reader.read_exactly(1);
    EQUAL(rest, "b");
  });
}

TEST_P(RDR, RDR_10_TheEndBeforeASeparatorTellsWhatThereWas) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("some data"), true);
    const std::string error = co_await failure(e.server.reader.read_until("#"));
    EQUAL(error, "Incomplete(some data,unknown)");
    EQUAL(e.server.reader.buffered(), "");
    HOLDS(e.server.reader.at_eof());
  });
}

TEST_P(RDR, RDR_12_TheShortestResultWins) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("some CRLF\r\nand ENDLF\n"), false);
    const std::string a = co_await e.server.reader.read_until(words("\n", "CRLF"));
    EQUAL(a, "some CRLF");
    const std::string b = co_await e.server.reader.read_until(words("ENDLF\n", "LF\n", "\n"));
    EQUAL(b, "\r\n");
    const std::string c = co_await e.server.reader.read_until(words("F\n", "ENDLF\n"));
    EQUAL(c, "and ENDLF\n");
  });
}

TEST_P(RDR, RDR_13_WhatMakesNoSenseIsRefusedAndNothingIsLost) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("kept"), false);
    const std::string empty = co_await failure(e.server.reader.read_until(""));
    EQUAL(empty, "BadValue");
    const std::string one_empty = co_await failure(e.server.reader.read_until(words("x", "")));
    EQUAL(one_empty, "BadValue");
    THROWS(h::bad_value, e.server.reader.read_exactly(-1));
    EQUAL(e.server.reader.buffered(), "kept");
    for (const std::size_t limit : {std::size_t{0}, static_cast<std::size_t>(-5)}) {
      h::connection_options c;
      c.limit = limit;
      const std::string client = co_await failure(h::open_connection("127.0.0.1", 1, c));
      EQUAL(client, "BadValue");
      h::server_options s;
      s.limit = limit;
      const std::string server =
          co_await failure(h::start_server(echo, std::string("127.0.0.1"), 0, s));
      EQUAL(server, "BadValue");
    }
  });
}

TEST_P(RDR, RDR_14_ExactlyNBytesAlsoAboveTheLimit) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(1000);
    co_await feed(e.client, e.server.reader, words("ab", "cd", "ef"), false);
    const std::string four = co_await e.server.reader.read_exactly(4);
    EQUAL(four, "abcd");
    EQUAL(e.server.reader.buffered(), "ef");
    const std::string big(3'000'000, 'B');
    e.client.writer.write(big + "rest");
    const std::string all = co_await e.server.reader.read_exactly(3'000'002);
    HOLDS(all == "ef" + big);
    const std::string rest = co_await e.server.reader.read_exactly(4);
    EQUAL(rest, "rest");
  });
}

TEST_P(RDR, RDR_15_TheEndBeforeNBytesTellsWhatThereWas) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    e.client.writer.write("four");
    e.client.writer.write_eof();
    const std::string error = co_await failure(e.server.reader.read_exactly(10));
    EQUAL(error, "Incomplete(four,10)");
    EQUAL(e.server.reader.buffered(), "");
    const std::string none = co_await e.server.reader.read(5);
    EQUAL(none, "");
  });
}

TEST_P(RDR, RDR_17_ASecondReaderIsRefused) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto first = h::create_task(read_some, std::ref(e.server.reader), 3);
    co_await until_waiting(first);
    const std::string second = co_await failure(e.server.reader.read(1));
    EQUAL(second, "Usage");
    const std::string third = co_await failure(e.server.reader.read_line());
    EQUAL(third, "Usage");
    e.client.writer.write("abc");
    const std::string got = co_await first;
    EQUAL(got, "abc");
    e.client.writer.write("d");
    const std::string next = co_await e.server.reader.read(1);
    EQUAL(next, "d");
  });
}

TEST_P(RDR, RDR_20_AnErrorAfterACancelledReadFindsNobody) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(30); ++round) {
      auto e = co_await connect_ends();
      auto waiting = h::create_task(read_some, std::ref(e.server.reader), 10);
      if (round % 3) co_await until_waiting(waiting);
      if (round % 2) {
        waiting.cancel();
        e.client.writer.abort();
      } else {
        e.client.writer.abort();  // a race between the two
        waiting.cancel();
      }
      const std::string how = co_await ending(waiting);
      HOLDS(how == "Cancelled" || how.starts_with("System"));
      const auto error = co_await error_of(e.server.reader.read(1));
      HOLDS(code_of(error) == ECONNRESET);
      auto f = co_await connect_ends();
      auto other = h::create_task(read_some, std::ref(f.server.reader), 10);
      co_await until_waiting(other);
      other.cancel();
      f.client.writer.write_eof();
      const std::string cut = co_await ending(other);
      EQUAL(cut, "Cancelled");
      const std::string end = co_await f.server.reader.read(1);
      EQUAL(end, "");
    }
  });
  EQUAL(report_count(), 0u);
}

TEST_P(RDR, RDR_21_TheEndIsReachedWhenAllWasRead) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    HOLDS(!e.server.reader.at_eof());
    co_await feed(e.client, e.server.reader, words("x"), true);
    HOLDS(!e.server.reader.at_eof());
    const std::string x = co_await e.server.reader.read(1);
    EQUAL(x, "x");
    HOLDS(e.server.reader.at_eof());
  });
}

// Bytes are received when somebody reads: there is no transport that fills a buffer of twice the
// limit meanwhile. What the marks promise is the same: a peer that is not read from is held up,
// after a bounded number of bytes, and goes on when they are read.
TEST_P(RDR, RDR_22_APeerThatIsNotReadFromIsHeldUp) {
  run([]() -> h::task<> {
    constexpr std::size_t limit = 1000;
    auto e = co_await connect_ends(limit);
    co_await feed(e.client, e.server.reader, words("first\n"), false);
    const std::size_t written = co_await fill_up(e.client.writer);
    HOLDS(e.client.writer.buffered() > 0);
    HOLDS(e.server.reader.buffered().size() <= 2 * limit + 16 * 1024);
    auto draining = h::create_task(drain, std::ref(e.client.writer));
    co_await until_waiting(draining);
    const std::string line = co_await e.server.reader.read_line();
    EQUAL(line, "first\n");
    const std::string half =
        co_await e.server.reader.read_exactly(static_cast<std::ptrdiff_t>(written / 2));
    EQUAL(half.size(), written / 2);
    const std::string rest =
        co_await e.server.reader.read_exactly(static_cast<std::ptrdiff_t>(written - written / 2));
    EQUAL(rest.size(), written - written / 2);
    co_await draining;
    EQUAL(e.client.writer.buffered(), 0u);
  });
}

TEST_P(RDR, RDR_23_LineByLineToTheEnd) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    e.client.writer.write("a\nb\nc");
    e.client.writer.write_eof();
    std::vector<std::string> lines;
    for (;;) {
      std::string line = co_await e.server.reader.read_line();
      if (line.empty()) break;
      lines.push_back(std::move(line));
    }
    EQUAL(lines, (std::vector<std::string>{"a\n", "b\n", "c"}));
  });
}

h::task<> pour(h::stream_writer& w, std::size_t total, unsigned seed) {
  std::mt19937 random(seed);
  std::string chunk;
  for (std::size_t at = 0; at < total;) {
    const std::size_t n = std::min<std::size_t>(total - at, 1 + random() % 100'000);
    chunk.resize(n);
    for (std::size_t i = 0; i < n; ++i)
      chunk[i] = static_cast<char>(((at + i) * 2654435761u) >> 11);
    w.write(chunk);
    at += n;
    co_await w.drain();
    if (random() % 8 == 0) co_await h::yield_now();
  }
  w.write_eof();
}

TEST_P(RDR, RDR_24_EveryByteArrivesInOrderThroughAnEcho) {
  run([]() -> h::task<> {
    const std::size_t mega = way.simulated ? 1 : sized(sanitized ? 8u : 64u, 1024u);
    const std::size_t total = mega * 1024 * 1024;
    auto e = co_await connect_ends();
    auto echoing = h::create_task(echo, std::move(e.server.reader), std::move(e.server.writer));
    auto& c = e.client;
    auto pouring = h::create_task(pour, std::ref(c.writer), total, 42u);
    std::mt19937 random(43);
    std::size_t at = 0;
    std::size_t wrong = 0;
    for (;;) {
      const std::string got =
          co_await c.reader.read(static_cast<std::ptrdiff_t>(1 + random() % 60'000));
      if (got.empty()) break;
      for (const char byte : got) wrong += byte != static_cast<char>((at++ * 2654435761u) >> 11);
      if (random() % 16 == 0) co_await h::yield_now();  // and so to another loop, perhaps
    }
    EQUAL(at, total);
    EQUAL(wrong, 0u);
    co_await pouring;
    co_await echoing;
  });
}

}  // namespace
