// SPDX-License-Identifier: MIT
#include "../io_cases.h"

#include <heddle/io/frames.h>

namespace {

using namespace conformance;

STREAM_CASES(IO_STREAM_FRAMES);

using frame = std::optional<std::string>;

h::task<> next_into(h::frames& f, frame& to) { to = co_await f.next(); }

TEST_P(IO_STREAM_FRAMES, IO_STREAM_14_AFrameAboveTheMostIsRefusedAndTheStreamIsOver) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::frame_options options;
    options.length_bytes = 8;
    h::frames in(std::move(e.server), options);
    e.client.writer.write(std::string(8, '\xff') + "more");
    for (int i = 0; i < 2; ++i) {
      const auto error = co_await error_of(in.next());
      HOLDS(h::describe(error).find("max_frame") != std::string::npos);
    }
  });
}

TEST_P(IO_STREAM_FRAMES, IO_STREAM_16_AnEndInsideAFrameTellsWhatWasLeft) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::frames in(std::move(e.server));
    e.client.writer.write(std::string("\0\0\0\3one\0\0\0\5fo", 13));
    e.client.writer.write_eof();
    const frame one = co_await in.next();
    HOLDS(one == "one");
    std::string left;
    try {
      (void)co_await in.next();
    } catch (const h::incomplete_read_error& error) {
      left = error.partial();
      EQUAL(error.expected(), 9u);
    }
    EQUAL(left, std::string("\0\0\0\5fo", 6));
  });
}

TEST_P(IO_STREAM_FRAMES, IO_STREAM_16_ACancelledReadLosesNoByte) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::frames in(std::move(e.server));
    frame got;
    e.client.writer.write(std::string("\0\0\0\5fo", 6));
    auto reading = h::create_task(next_into, std::ref(in), std::ref(got));
    co_await until_waiting(reading);
    reading.cancel();
    const std::string how = co_await ending(reading);
    EQUAL(how, "Cancelled");
    e.client.writer.write("und");
    e.client.writer.write_eof();
    const frame found = co_await in.next();
    HOLDS(found == "found");
    const frame end = co_await in.next();
    HOLDS(!end);
  });
}

TEST_P(IO_STREAM_FRAMES, IO_STREAM_17_FramesOfEachWidthAndOrderArriveAndARefusedOneWritesNothing) {
  run([]() -> h::task<> {
    for (std::size_t width = 1; width <= 8; ++width) {
      auto e = co_await connect_ends();
      h::frame_options options;
      options.length_bytes = width;
      options.order = width % 2 ? h::byte_order::little : h::byte_order::big;
      options.max_frame = 300;
      h::frames out(std::move(e.client), options);
      h::frames in(std::move(e.server), options);
      THROWS(h::bad_value, (void)out.write(std::string(301, 'x')));
      if (width == 1) THROWS(h::bad_value, (void)out.write(std::string(256, 'x')));
      const std::string text(width == 1 ? 255 : 300, 'y');
      co_await out.write(text);
      co_await out.write("");
      const frame first = co_await in.next();
      HOLDS(first == text);
      const frame second = co_await in.next();
      HOLDS(second == "");
    }
  });
}

TEST_P(IO_STREAM_FRAMES, IO_STREAM_17_AFrameWriterWaitsByTheMarks) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    h::frames out(std::move(e.client));
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
