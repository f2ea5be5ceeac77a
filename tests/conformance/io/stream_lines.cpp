// SPDX-License-Identifier: MIT
#include "../io_cases.h"

#include <heddle/io/lines.h>

namespace {

using namespace conformance;

STREAM_CASES(IO_STREAM_LINES);

using line = std::optional<std::string>;

h::task<> next_into(h::lines& l, line& to) { to = co_await l.next(); }

h::line_options short_lines(h::line_ending ending = h::line_ending::either) {
  h::line_options o;
  o.max_line = 8;
  o.ending = ending;
  return o;
}

/// All lines that come, with a bar behind each; then what the reading ended with.
h::task<std::string> read_lines(h::lines& in) {
  std::string all;
  std::exception_ptr error;
  try {
    for (;;) {
      line next = co_await in.next();
      if (!next) break;
      all += *next + "|";
    }
  } catch (...) { error = std::current_exception(); }
  co_return error ? all + name_of(error) : all;
}

/// What is read of `text`, which comes in two pieces that part at each place in turn.
h::task<bool> reads_as(std::string text, h::line_ending ending, std::string expected) {
  bool same = true;
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    auto e = co_await connect_ends();
    std::vector<std::string> parts = words(text.substr(0, cut));
    co_await feed(e.client, e.server.reader, parts, false);
    h::lines in(std::move(e.server), short_lines(ending));
    e.client.writer.write(text.substr(cut));
    e.client.writer.write_eof();
    const std::string got = co_await read_lines(in);
    same = same && got == expected;
    if (got != expected) ADD_FAILURE() << got << " but not " << expected << " at " << cut;
  }
  co_return same;
}

TEST_P(IO_STREAM_LINES, IO_STREAM_14_LinesEndAsTheOptionSaysWhereverTheyAreCut) {
  run([]() -> h::task<> {
    bool same = co_await reads_as("a\r\n\nb\rc\n", h::line_ending::either, "a||b\rc|");
    HOLDS(same);
    same = co_await reads_as("a\r\n\nb\rc\n", h::line_ending::lf, "a\r||b\rc|");
    HOLDS(same);
    same = co_await reads_as("a\r\n\r\nbcd\r\n", h::line_ending::crlf, "a||bcd|");
    HOLDS(same);
    same = co_await reads_as("a\r\nb\n", h::line_ending::crlf, "a|BadValue");
    HOLDS(same);
    same = co_await reads_as("a\r\nb\rc\r\n", h::line_ending::crlf, "a|BadValue");
    HOLDS(same);
  });
}

TEST_P(IO_STREAM_LINES, IO_STREAM_14_ALineAboveTheMostIsRefusedByNameAndTheLinesAreOver) {
  run([]() -> h::task<> {
    bool same =
        co_await reads_as("12345678\r\n12345678\n", h::line_ending::either, "12345678|12345678|");
    HOLDS(same);
    same = co_await reads_as("12345678\n123456789\n", h::line_ending::either, "12345678|BadValue");
    HOLDS(same);
    auto e = co_await connect_ends();
    h::lines in(std::move(e.server), short_lines());
    e.client.writer.write(std::string(100'000, 'x'));  // and no end of it
    for (int i = 0; i < 2; ++i) {
      const auto error = co_await error_of(in.next());
      HOLDS(h::describe(error).find("max_line") != std::string::npos);
    }
    HOLDS(in.under().reader.buffered().size() <= 64 * 1024);
    h::line_options none;
    none.max_line = 0;
    THROWS(h::bad_value, h::lines(std::move(e.client), none));
  });
}

TEST_P(IO_STREAM_LINES, IO_STREAM_16_AnEndInsideALineTellsWhatWasLeft) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::lines in(std::move(e.server));
    e.client.writer.write("one\ntw");
    e.client.writer.write_eof();
    const line one = co_await in.next();
    HOLDS(one == "one");
    for (int i = 0; i < 2; ++i) {
      std::string left;
      try {
        (void)co_await in.next();
      } catch (const h::incomplete_read_error& error) { left = error.partial(); }
      EQUAL(left, "tw");
    }
  });
}

TEST_P(IO_STREAM_LINES, IO_STREAM_16_ACancelledReadOfALineLosesNoByte) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::lines in(std::move(e.server));
    line got;
    e.client.writer.write("fo");
    auto reading = h::create_task(next_into, std::ref(in), std::ref(got));
    co_await until_waiting(reading);
    reading.cancel();
    const std::string how = co_await ending(reading);
    EQUAL(how, "Cancelled");
    e.client.writer.write("und\n");
    e.client.writer.write_eof();
    const line found = co_await in.next();
    HOLDS(found == "found");
    const line end = co_await in.next();
    HOLDS(!end);
  });
}

TEST_P(IO_STREAM_LINES, IO_STREAM_17_ARefusedLineWritesNothingAndOthersArriveWhole) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::lines out(std::move(e.client), short_lines(h::line_ending::crlf));
    THROWS(h::bad_value, (void)out.write("123456789"));
    THROWS(h::bad_value, (void)out.write("a\nb"));
    THROWS(h::bad_value, (void)out.write("a\r"));
    co_await out.write("12345678");
    co_await out.write("");
    out.under().writer.write_eof();
    const std::string all = co_await e.server.reader.read();
    EQUAL(all, "12345678\r\n\r\n");
  });
}

TEST_P(IO_STREAM_LINES, IO_STREAM_17_ALineWriterWaitsByTheMarks) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::lines out(std::move(e.client));
    (void)co_await fill_up(out.under().writer);
    auto writing = h::create_task(out.write("one more"));
    co_await until_waiting(writing);
    HOLDS(!writing.done());
    auto sink = h::create_task(swallow, std::ref(e.server.reader));
    co_await writing;
    out.under().writer.write_eof();
    (void)co_await sink;
  });
}

}  // namespace
