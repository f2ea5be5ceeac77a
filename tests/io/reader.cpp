// SPDX-License-Identifier: MIT
#include "io/runtime.h"

#include <memory>
#include <random>

namespace {

using namespace io_test;

class StreamReader : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, StreamReader, testing::ValuesIn(all_setups()), name_of);

TEST_P(StreamReader, ReadsAtLeastOneByteAndAtMostN) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto waiting = h::create_task(e.server.reader.read(100));
    co_await h::yield_now();
    e.client.writer.write("x");
    EXPECT_EQ(co_await waiting, "x");
    e.client.writer.write("abcdef");
    co_await e.server.reader.fill();
    EXPECT_EQ(co_await e.server.reader.read(2), "ab");
    EXPECT_EQ(co_await e.server.reader.read_exactly(4), "cdef");
  });
}

TEST_P(StreamReader, ReadsNothingWhenAskedForNothingAndAtTheEnd) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    e.client.writer.write("rest");
    co_await feed(e.client, e.server.reader, words(), true);
    EXPECT_EQ(co_await e.server.reader.read(4), "rest");
    EXPECT_EQ(co_await e.server.reader.read(4), "");
    EXPECT_EQ(co_await e.server.reader.read(), "");
    EXPECT_EQ(co_await e.server.reader.read_exactly(0), "");
  });
}

TEST_P(StreamReader, ReadsToTheEndWithoutRegardToTheLimit) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(16);
    const std::string big(100'000, 'b');
    e.client.writer.write(big);
    e.client.writer.write_eof();
    EXPECT_EQ(co_await e.server.reader.read(), big);
  });
}

TEST_P(StreamReader, ReadsALineThatCameInPiecesAndLeavesTheRest) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("chunk1 ", "chunk2 ", "chunk3\nrest"));
    EXPECT_EQ(co_await e.server.reader.read_line(), "chunk1 chunk2 chunk3\n");
    EXPECT_EQ(e.server.reader.buffered(), "rest");
    EXPECT_EQ(co_await e.server.reader.read_line(), "rest");
    EXPECT_EQ(co_await e.server.reader.read_line(), "");
  });
}

TEST_P(StreamReader, IteratesByLineToAPartialOne) {
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
    EXPECT_EQ(lines, (std::vector<std::string>{"a\n", "b\n", "c"}));
  });
}

TEST_P(StreamReader, TakesALineOfTheLimitAndRefusesALongerOne) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(7);
    co_await feed(e.client, e.server.reader, words("1234567\n12345678\nnext\n"));
    EXPECT_EQ(co_await e.server.reader.read_line(), "1234567\n");
    const auto error = co_await error_of(e.server.reader.read_line());
    EXPECT_TRUE(is<h::bad_value>(error)) << h::describe(error);
    // Exactly that line is gone.
    EXPECT_EQ(co_await e.server.reader.read_line(), "next\n");
  });
}

TEST_P(StreamReader, DropsOverlongDataWithoutANewlineAndGoesOn) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(3);
    co_await feed(e.client, e.server.reader, words("12345"), false);
    const auto error = co_await error_of(e.server.reader.read_line());
    EXPECT_TRUE(is<h::bad_value>(error)) << h::describe(error);
    EXPECT_EQ(e.server.reader.buffered(), "");
    e.client.writer.write("ok\n");
    EXPECT_EQ(co_await e.server.reader.read_line(), "ok\n");
  });
}

TEST_P(StreamReader, FindsASeparatorThatIsSplitWithFalseStarts) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("xa", "axa", "a", "ab"), false);
    EXPECT_EQ(co_await e.server.reader.read_until("aaa"), "xaaxaaa");
    EXPECT_EQ(e.server.reader.buffered(), "b");
  });
}

TEST_P(StreamReader, LetsTheSeparatorThatEndsFirstDecide) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("some CRLF\r\nand ENDLF\n"), false);
    EXPECT_EQ(co_await e.server.reader.read_until(words("\n", "CRLF")), "some CRLF");
    EXPECT_EQ(co_await e.server.reader.read_until(words("ENDLF\n", "LF\n", "\n")), "\r\n");
    EXPECT_EQ(co_await e.server.reader.read_until(words("F\n", "ENDLF\n")), "and ENDLF\n");
  });
}

TEST_P(StreamReader, TellsWhatItHadWhenTheStreamEndsBeforeASeparator) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("all there was"));
    const auto error = co_await error_of(e.server.reader.read_until("#"));
    EXPECT_TRUE(is<h::incomplete_read_error>(error)) << h::describe(error);
    try {
      std::rethrow_exception(error);
    } catch (const h::incomplete_read_error& i) {
      EXPECT_EQ(i.partial(), "all there was");
      EXPECT_EQ(i.expected(), 0u);
    }
    EXPECT_TRUE(e.server.reader.at_eof());
  });
}

TEST_P(StreamReader, LeavesTheBytesWhenTheLimitIsOverrun) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(4);
    co_await feed(e.client, e.server.reader, words("1234567#8"), false);
    const auto error = co_await error_of(e.server.reader.read_until("#"));
    EXPECT_TRUE(is<h::limit_overrun_error>(error)) << h::describe(error);
    EXPECT_EQ(e.server.reader.buffered(), "1234567#8");
    EXPECT_EQ(co_await e.server.reader.read_exactly(7), "1234567");
    EXPECT_EQ(co_await e.server.reader.read_until("#"), "#");
  });
}

TEST_P(StreamReader, RefusesAnEmptySeparatorANegativeCountAndALimitOfZero) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("kept"), false);
    auto none = [&]() -> h::task<std::string> { return e.server.reader.read_until(""); };
    EXPECT_TRUE(is<h::bad_value>(co_await error_of(none())));
    EXPECT_THROW((void)e.server.reader.read_exactly(-1), h::bad_value);
    EXPECT_THROW(e.server.reader.consume(5), h::bad_value);
    h::connection_options zero;
    zero.limit = 0;
    EXPECT_TRUE(is<h::bad_value>(co_await error_of(h::open_connection("127.0.0.1", 1, zero))));
    EXPECT_EQ(e.server.reader.buffered(), "kept");
  });
}

TEST_P(StreamReader, ReadsExactlyNOverManyPiecesAndAboveTheLimit) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends(1000);
    std::string big(300'000, '\0');
    for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7);
    e.client.writer.write(big + "rest");
    EXPECT_EQ(co_await e.server.reader.read_exactly(static_cast<std::ptrdiff_t>(big.size())), big);
    EXPECT_EQ(co_await e.server.reader.read_exactly(4), "rest");
  });
}

TEST_P(StreamReader, TellsWhatItHadWhenTheStreamEndsBeforeNBytes) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    e.client.writer.write("four");
    e.client.writer.write_eof();
    const auto error = co_await error_of(e.server.reader.read_exactly(10));
    EXPECT_TRUE(is<h::incomplete_read_error>(error)) << h::describe(error);
    try {
      std::rethrow_exception(error);
    } catch (const h::incomplete_read_error& i) {
      EXPECT_EQ(i.partial(), "four");
      EXPECT_EQ(i.expected(), 10u);
    }
    EXPECT_EQ(co_await e.server.reader.read(5), "");
  });
}

TEST_P(StreamReader, RefusesASecondReaderAndLeavesTheFirstAlone) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto first = h::create_task(e.server.reader.read_exactly(3));
    co_await until([&] { return waits(first); });
    EXPECT_TRUE(is<h::usage_error>(co_await error_of(e.server.reader.read(1))));
    EXPECT_TRUE(is<h::usage_error>(co_await error_of(e.server.reader.read_line())));
    e.client.writer.write("abc");
    EXPECT_EQ(co_await first, "abc");
    e.client.writer.write("d");
    EXPECT_EQ(co_await e.server.reader.read(1), "d");
  });
}

TEST_P(StreamReader, LosesNothingWhenAReadIsCancelled) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    for (int round = 0; round < 20; ++round) {
      auto exact = h::create_task(e.server.reader.read_exactly(6));
      e.client.writer.write("abc");
      co_await h::yield_now();
      exact.cancel();
      const auto one =
          co_await error_of([](h::task_handle<std::string> t) -> h::task<> { co_await t; }(exact));
      EXPECT_TRUE(is<h::cancelled_error>(one)) << h::describe(one);
      auto all = h::create_task(e.server.reader.read());
      co_await h::yield_now();
      all.cancel();
      (void)co_await error_of([](h::task_handle<std::string> t) -> h::task<> { co_await t; }(all));
      e.client.writer.write("def");
      EXPECT_EQ(co_await e.server.reader.read_exactly(6), "abcdef");
    }
  });
}

TEST_P(StreamReader, IsAtTheEndOnlyWhenAllWasRead) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("x"));
    EXPECT_FALSE(e.server.reader.at_eof());
    e.server.reader.consume(1);
    EXPECT_TRUE(e.server.reader.at_eof());
    const bool more = co_await e.server.reader.fill();
    EXPECT_FALSE(more);
  });
}

TEST_P(StreamReader, EndsWhenItsOwnWriterCloses) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto waiting = h::create_task(e.server.reader.read(10));
    co_await until([&] { return waits(waiting); });
    e.server.writer.close();
    EXPECT_EQ(co_await waiting, "");
    EXPECT_EQ(co_await e.client.reader.read(), "");
  });
}

TEST_P(StreamReader, FailsWithTheCallAndThePeerWhenThePeerResets) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::string peer = e.server.writer.peer_address().to_string();
    auto waiting = h::create_task(error_of(e.server.reader.read(10)));
    co_await h::yield_now();
    e.client.writer.abort();
    const auto error = co_await waiting;
    EXPECT_EQ(code_of(error), ECONNRESET);
    EXPECT_NE(h::describe(error).find("recv"), std::string::npos) << h::describe(error);
    EXPECT_NE(h::describe(error).find(peer), std::string::npos) << h::describe(error);
    EXPECT_EQ(code_of(co_await error_of(e.server.reader.read(1))), ECONNRESET);
    EXPECT_EQ(code_of(co_await error_of(drain(e.server.writer))), ECONNRESET);
    EXPECT_EQ(code_of(co_await error_of(closed(e.server.writer))), ECONNRESET);
  });
}

h::task<std::uint64_t> pour(h::stream_writer& w, std::uint64_t seed, std::size_t total) {
  std::mt19937_64 random(seed);
  std::uint64_t sum = 0;
  std::size_t sent = 0;
  std::string piece;
  while (sent < total) {
    const std::size_t n =
        std::min<std::size_t>(total - sent, 1 + random() % (random() % 8 == 0 ? 70'000 : 900));
    piece.resize(n);
    for (auto& c : piece) {
      c = static_cast<char>(random());
      sum = sum * 31 + static_cast<unsigned char>(c);
    }
    w.write(piece);
    sent += n;
    co_await w.drain();
    if (random() % 16 == 0) co_await h::yield_now();
  }
  w.write_eof();
  co_return sum;
}

h::task<std::uint64_t> pour_out(h::stream_reader& r, std::uint64_t seed, std::size_t total) {
  std::mt19937_64 random(seed);
  std::uint64_t sum = 0;
  std::size_t got = 0;
  for (;;) {
    std::string piece;
    switch (random() % 3) {
      case 0: piece = co_await r.read(static_cast<std::ptrdiff_t>(1 + random() % 30'000)); break;
      case 1:
        piece = co_await r.read_exactly(
            static_cast<std::ptrdiff_t>(std::min<std::size_t>(total - got, 1 + random() % 50'000)));
        break;
      default:
        (void)co_await r.fill();
        piece = r.buffered().substr(0, 1 + random() % 5'000);
        r.consume(piece.size());
        break;
    }
    for (const char c : piece) sum = sum * 31 + static_cast<unsigned char>(c);
    got += piece.size();
    if (got == total && piece.empty()) break;
    if (got == total && co_await r.read(1) == "") break;
    if (random() % 16 == 0) co_await h::yield_now();
  }
  EXPECT_EQ(got, total);
  co_return sum;
}

TEST_P(StreamReader, KeepsEveryByteInOrderWithRandomPiecesBothWays) {
  run([]() -> h::task<> {
    constexpr std::size_t total = 3'000'000;
    constexpr std::uint64_t seed = 20'261'122;
    std::vector<std::unique_ptr<ends>> pairs;
    std::vector<h::task_handle<std::uint64_t>> in, out;
    for (unsigned i = 0; i < 4; ++i) {
      pairs.push_back(std::make_unique<ends>(co_await connect_ends()));
      auto& e = *pairs.back();
      in.push_back(h::create_task(pour(e.client.writer, seed + i, total)));
      out.push_back(h::create_task(pour_out(e.server.reader, seed * 3 + i, total)));
      in.push_back(h::create_task(pour(e.server.writer, seed * 5 + i, total)));
      out.push_back(h::create_task(pour_out(e.client.reader, seed * 7 + i, total)));
    }
    for (std::size_t i = 0; i < in.size(); ++i) {
      const auto sent = co_await in[i];
      const auto got = co_await out[i];
      EXPECT_EQ(sent, got) << "direction " << i << ", seed " << seed;
    }
  });
}

}  // namespace
