// SPDX-License-Identifier: MIT
// Writes of several pieces, and writes that are gathered.
#include "../io_cases.h"
#include "stream_segments.h"

#include <heddle/io/buffered_writer.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace conformance;

STREAM_CASES(IO_STREAM_WRITING);

using pieces = std::vector<std::string_view>;

TEST_P(IO_STREAM_WRITING, IO_STREAM_07_SeveralPiecesAreOneWriteAndOneSend) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const auto before = segments_of(e.client.writer);
    e.client.writer.write_lines({"one ", "", "two ", std::string_view(), "three"});
    const std::string got = co_await e.server.reader.read_exactly(13);
    EQUAL(got, "one two three");
    const auto after = segments_of(e.client.writer);
    if (before) EQUAL(*after - *before, 1u);
    const pieces none;
    e.client.writer.write_lines(none);
    e.client.writer.write_lines({"", ""});
    e.client.writer.write_eof();
    const std::string end = co_await e.server.reader.read();
    EQUAL(end, "");
    THROWS(h::usage_error, e.client.writer.write_lines({"a", "b"}));
  });
}

TEST_P(IO_STREAM_WRITING, IO_STREAM_07_PiecesThatFindNoRoomArriveWholeAndInOrder) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    std::vector<std::string> texts;
    std::string all;
    for (std::size_t i = 0; i < 300; ++i) {
      texts.emplace_back(i % 7 == 0 ? 40'000 + i : i, static_cast<char>('a' + i % 26));
      all += texts.back();
    }
    const pieces parts(texts.begin(), texts.end());
    e.client.writer.write_lines(parts);
    e.client.writer.write_lines(parts);  // behind what is pending
    e.client.writer.write_eof();
    const std::string got = co_await e.server.reader.read();
    HOLDS(got == all + all);
  });
}

h::task<> write_threes(h::stream_writer& w, char name) {
  const std::string letter(1, name);
  for (int i = 0; i < 300; ++i) {
    const std::string number = std::to_string(i);
    w.write_lines({letter, number, "\n"});
    co_await w.drain();
    if (i % 16 == 0) co_await h::yield_now();
  }
}

/// Reads numbered lines of two writers. Yields how many lines were whole and in their writer's
/// order.
h::task<int> count_lines(h::stream_reader& r) {
  int next[2] = {0, 0};
  int good = 0;
  for (;;) {
    const std::string line = co_await r.read_line();
    if (line.empty()) break;
    const int who = line.front() - 'a';
    if (who != 0 && who != 1) continue;
    const std::string expected = line.substr(0, 1) + std::to_string(next[who]++) + "\n";
    good += line == expected;
  }
  co_return good;
}

TEST_P(IO_STREAM_WRITING, IO_STREAM_07_PiecesOfOneWriteAreNeverMixedWithThoseOfAnother) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto reading = h::create_task(count_lines, std::ref(e.server.reader));
    auto a = h::create_task(write_threes, std::ref(e.client.writer), 'a');
    auto b = h::create_task(write_threes, std::ref(e.client.writer), 'b');
    co_await a;
    co_await b;
    e.client.writer.write_eof();
    const int good = co_await reading;
    EQUAL(good, 600);
  });
}

TEST_P(IO_STREAM_WRITING, IO_STREAM_01_SmallWritesStayUntilTheFlushAndAreOneSend) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::buffered_writer out(std::move(e.client.writer));
    const auto before = segments_of(out.under());
    for (int i = 0; i < 100; ++i) out.write("word ");
    out.write_uint(std::uint16_t{0x2121});
    EQUAL(out.gathered(), 502u);
    HOLDS(e.server.reader.quiet());
    co_await out.drain();
    EQUAL(out.gathered(), 0u);
    const std::string got = co_await e.server.reader.read_exactly(502);
    HOLDS(got.starts_with("word word ") && got.ends_with("word !!"));
    const auto after = segments_of(out.under());
    if (before) EQUAL(*after - *before, 1u);
  });
}

TEST_P(IO_STREAM_WRITING, IO_STREAM_01_AFullBufferIsSentAndABigPieceIsNotGathered) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::buffered_writer out(std::move(e.client.writer), 10);
    out.write("12345");
    out.write("67890");  // full
    const std::string ten = co_await e.server.reader.read_exactly(10);
    EQUAL(ten, "1234567890");
    EQUAL(out.gathered(), 0u);
    out.write("abc");
    out.write("defghijkl");  // does not fit
    const std::string twelve = co_await e.server.reader.read_exactly(12);
    EQUAL(twelve, "abcdefghijkl");
    out.write("x");
    out.write(std::string(100'000, 'y'));
    out.write("z");
    EQUAL(out.gathered(), 1u);
    out.write_eof();
    const std::string rest = co_await e.server.reader.read();
    HOLDS(rest == "x" + std::string(100'000, 'y') + "z");
    THROWS(h::usage_error, out.write("after the end"));
  });
}

TEST_P(IO_STREAM_WRITING, IO_STREAM_01_CloseAndTheDestructorSendWhatIsGathered) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    {
      h::buffered_writer out(std::move(e.client.writer));
      out.write("left ");
      out.write("behind");
    }
    const std::string all = co_await e.server.reader.read();
    EQUAL(all, "left behind");
    auto f = co_await connect_ends();
    h::buffered_writer out(std::move(f.client.writer));
    out.write("the last ");
    out.write("words");
    out.close();
    out.write(" are dropped");
    out.close();
    const std::string last = co_await f.server.reader.read();
    EQUAL(last, "the last words");
    co_await out.wait_closed();
    THROWS(h::bad_value, h::buffered_writer(std::move(f.server.writer), 0));
  });
}

TEST_P(IO_STREAM_WRITING, IO_STREAM_01_WritesToTheWriterUnderneathKeepTheirPlace) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::buffered_writer out(std::move(e.client.writer));
    out.write("one ");
    out.under().write("two ");
    out.write("three ");
    h::stream_writer plain = out.release();
    plain.write("four");
    THROWS(h::usage_error, out.write("five"));
    plain.write_eof();
    const std::string got = co_await e.server.reader.read();
    EQUAL(got, "one two three four");
  });
}

h::task<> gather_lines(h::buffered_writer& out, char name) {
  for (int i = 0; i < 300; ++i) {
    std::string line(1, name);
    line += std::to_string(i) + "\n";
    out.write(line);
    if (i % 10 == 0) co_await out.drain();
    if (i % 16 == 0) co_await h::yield_now();
  }
  co_await out.drain();
}

TEST_P(IO_STREAM_WRITING, IO_STREAM_01_TwoTasksKeepTheirOrderAndTheirLines) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto reading = h::create_task(count_lines, std::ref(e.server.reader));
    h::buffered_writer out(std::move(e.client.writer), 64);
    auto a = h::create_task(gather_lines, std::ref(out), 'a');
    auto b = h::create_task(gather_lines, std::ref(out), 'b');
    co_await a;
    co_await b;
    out.close();
    const int good = co_await reading;
    EQUAL(good, 600);
  });
}

}  // namespace
