// SPDX-License-Identifier: MIT
// A filter between a stream and what moves its bytes. The one tried here behaves as TLS does: it
// greets first, cannot seal before it was greeted, numbers what it seals, answers while it only
// reads, and has an end of its own.
#include "io/runtime.h"

#include <heddle/io/http/serving/conversation.h>
#include <heddle/io/http/serving/engine.h>
#include <heddle/io/http/serving/listening.h>
#include <heddle/io/streams/reading.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/io/transport/filter.h>
#include <heddle/io/transport/filter_place.h>

#include <support/streams.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace io_test;
using support::fill_up;
using support::swallow;

/// Frames: kind, number, length (two bytes), then as many bytes, each with a bit turned over.
class frame_filter final : public h::detail::filter {
 public:
  struct bad_frame : std::runtime_error {
    using std::runtime_error::runtime_error;
  };

  void begin(std::string& sealed) override {
    const alone in_here(*this);
    put('h', "", sealed);
  }
  std::size_t seal(std::string_view plain, std::string& sealed) override {
    const alone in_here(*this);
    if (!greeted_) return 0;
    const auto piece = plain.substr(0, most);
    put('d', piece, sealed);
    return piece.size();
  }
  opened open(std::string_view raw, h::detail::input_buffer& plain, std::string& sealed) override {
    const alone in_here(*this);
    opened o;
    while (raw.size() - o.taken >= head && !o.ended) {
      const auto frame = raw.substr(o.taken);
      const std::size_t size =
          static_cast<unsigned char>(frame[2]) * 256u + static_cast<unsigned char>(frame[3]);
      if (frame.size() < head + size) break;
      if (static_cast<unsigned char>(frame[1]) != opened_++) {
        put('a', "", sealed);  // an alert
        throw bad_frame("a frame with a wrong number");
      }
      take(frame[0], frame.substr(head, size), plain, sealed, o);
      o.taken += head + size;
    }
    return o;
  }
  void end(std::string& sealed) override {
    const alone in_here(*this);
    put('e', "", sealed);
  }

 private:
  static constexpr std::size_t head = 4;
  static constexpr std::size_t most = 10'000;

  /// Calls must never overlap.
  struct alone {
    explicit alone(frame_filter& f) : filter(f) {
      EXPECT_FALSE(filter.busy_.exchange(true)) << "two threads in one filter";
    }
    alone(const alone&) = delete;
    ~alone() { filter.busy_.store(false); }
    frame_filter& filter;
  };

  void put(char kind, std::string_view bytes, std::string& to) {
    to += kind;
    to += static_cast<char>(sealed_++);
    to += static_cast<char>(bytes.size() / 256);
    to += static_cast<char>(bytes.size() % 256);
    for (const char c : bytes) to += static_cast<char>(c ^ 0x20);
  }
  void take(char kind, std::string_view bytes, h::detail::input_buffer& plain, std::string& sealed,
            opened& o) {
    std::string text;
    for (const char c : bytes) text += static_cast<char>(c ^ 0x20);
    plain.append(text);
    if (kind == 'h') greeted_ = true;
    if (kind == 'e') o.ended = true;
    if (kind == 'a') throw bad_frame("the peer has found a bad frame");
    if (kind == 'd' && ++read_ % 4 == 0) put('k', "", sealed);  // an answer by a reader
  }

  std::atomic<bool> busy_{false};
  bool greeted_ = false;
  unsigned char sealed_ = 0;
  unsigned char opened_ = 0;
  unsigned read_ = 0;
};

void filtered(h::connection& c) {
  h::detail::stream_access::of(c).set_filter(std::make_unique<frame_filter>());
}

class StreamFilter : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, StreamFilter, testing::ValuesIn(all_ways()), name_of);

TEST_P(StreamFilter, ReaderAndWriterDoNotKnowOfIt) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    filtered(e.client);
    filtered(e.server);
    auto reading = h::create_task(e.client.reader.read());
    e.client.writer.write("question\n");  // sealed once its reader was greeted
    e.client.writer.write("more\n");
    const std::string question = co_await e.server.reader.read_line();
    EXPECT_EQ(question, "question\n");
    const std::string more = co_await e.server.reader.read_line();
    EXPECT_EQ(more, "more\n");
    e.server.writer.write("answer");
    e.server.writer.close();
    EXPECT_EQ(co_await reading, "answer");
    const std::string end = co_await e.client.reader.read();
    EXPECT_EQ(end, "");
    e.client.writer.close();
    co_await e.client.writer.wait_closed();
    co_await e.server.writer.wait_closed();
    EXPECT_EQ(e.client.writer.buffered(), 0u);
  });
}

TEST_P(StreamFilter, BothWaysAtOnceNoByteIsLostAndNoCallOverlaps) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    filtered(e.client);
    filtered(e.server);
    auto pour = [](h::stream_writer& w, char first) -> h::task<> {
      std::string text(40'000, first);
      for (int i = 0; i < 12; ++i) {
        for (auto& c : text) ++c;
        w.write(text);
        co_await w.drain();
      }
      w.write_eof();
    };
    auto expect = [](h::stream_reader& r, char first) -> h::task<> {
      std::size_t wrong = 0;
      for (int i = 0; i < 12; ++i) {
        const std::string got = co_await r.read_exactly(40'000);
        wrong += got != std::string(40'000, static_cast<char>(first + i + 1));
      }
      EXPECT_EQ(wrong, 0u);
      const std::string end = co_await r.read();
      EXPECT_EQ(end, "");
    };
    auto a = h::create_task(pour(e.client.writer, 'a'));
    auto b = h::create_task(pour(e.server.writer, 'n'));
    auto c = h::create_task(expect(e.server.reader, 'a'));
    auto d = h::create_task(expect(e.client.reader, 'n'));
    co_await a;
    co_await b;
    co_await c;
    co_await d;
  });
}

TEST_P(StreamFilter, WhatWasBufferedBehindAPlainLineGoesThroughIt) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    const std::size_t plain = co_await fill_up(e.client.writer);  // still pending, and sent first
    e.client.writer.write("START\n");
    filtered(e.client);
    auto reading = h::create_task(e.client.reader.read());
    e.client.writer.write("secret\n");
    (void)co_await e.server.reader.read_exactly(static_cast<std::ptrdiff_t>(plain));
    while (e.server.reader.buffered().size() < 8) (void)co_await e.server.reader.fill();
    const std::string start = co_await e.server.reader.read_line();
    EXPECT_EQ(start, "START\n");
    filtered(e.server);
    const std::string secret = co_await e.server.reader.read_line();
    EXPECT_EQ(secret, "secret\n");
    e.server.writer.close();
    EXPECT_EQ(co_await reading, "");
  });
}

/// Runs the filter as the task of a handshake does, until `n` bytes were opened.
h::task<> open_held(h::connection& c, std::size_t n) {
  auto& core = h::detail::stream_access::of(c);
  const h::detail::reading role(core);
  auto place = core.make_filter_place(std::make_unique<frame_filter>());
  while (!core.set_held_filter(place, false)) co_await h::yield_now();
  while (core.input().size() < n) {
    h::detail::fill_wait more(core, false);
    (void)co_await more;
    while (!core.step_filter()) co_await h::yield_now();
  }
  core.release_filter_hold();
}

TEST_P(StreamFilter, WhatWasOpenedWhileItWasHeldIsSeenByTheFirstFill) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    filtered(e.client);
    auto reading = h::create_task(e.client.reader.read());
    e.client.writer.write("early\n");
    co_await open_held(e.server, 6);
    const bool more = co_await e.server.reader.fill();  // the peer sends nothing any more
    EXPECT_TRUE(more);
    EXPECT_EQ(e.server.reader.buffered(), "early\n");
    e.server.writer.close();
    EXPECT_EQ(co_await reading, "");
  });
}

TEST_P(StreamFilter, AStreamCutOffBeforeItsEndIsAnError) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    filtered(e.server);
    e.client.writer.write(std::string("h\0\0\0d\1\0\1A", 9));
    e.client.writer.write_eof();
    const std::string first = co_await e.server.reader.read(1);
    EXPECT_EQ(first, "a");
    EXPECT_EQ(code_of(co_await error_of(e.server.reader.read(1))), ECONNRESET);
    EXPECT_EQ(code_of(co_await error_of(drain(e.server.writer))), ECONNRESET);
  });
}

TEST_P(StreamFilter, WhatItThrowsEndsEveryOperationAndItsAlertIsSent) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    filtered(e.server);
    e.client.writer.write(std::string("h\0\0\0d\7\0\1A", 9));  // a wrong number
    EXPECT_TRUE(is<frame_filter::bad_frame>(co_await error_of(e.server.reader.read(1))));
    EXPECT_TRUE(is<frame_filter::bad_frame>(co_await error_of(drain(e.server.writer))));
    EXPECT_TRUE(is<frame_filter::bad_frame>(co_await error_of(closed(e.server.writer))));
    EXPECT_TRUE(e.server.writer.is_closing());
    const std::string told = co_await e.client.reader.read();
    EXPECT_EQ(told, std::string("h\0\0\0a\1\0\0", 8));
    co_await until([&] { return e.server.writer.native_handle() == -1; });
  });
}

TEST_P(StreamFilter, WhatItCannotSealYetWaitsByTheMarksAndIsCutByADeadline) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    filtered(e.client);
    e.client.writer.write(std::string(200'000, 'w'));
    auto draining = h::create_task(error_of(drain(e.client.writer)));
    co_await until([&] { return waits(draining); });
    EXPECT_GE(e.client.writer.buffered(), 200'000u);
    auto closing = [](h::stream_writer& w) -> h::task<bool> { return w.close_within(20ms); };
    const bool in_order = co_await closing(e.client.writer);
    EXPECT_FALSE(in_order);  // the peer never greets
    EXPECT_EQ(code_of(co_await draining), ECONNRESET);
    EXPECT_EQ(e.client.writer.buffered(), 0u);
  });
}

TEST_P(StreamFilter, IsRefusedWhereItCannotBeSet) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    auto reading = h::create_task(error_of(e.server.reader.read(1)));
    co_await until([&] { return waits(reading); });
    EXPECT_THROW(filtered(e.server), h::usage_error);
    filtered(e.client);
    EXPECT_THROW(filtered(e.client), h::usage_error);
    (void)co_await reading;
    auto f = co_await connect_ends(how);
    f.client.writer.write_eof();
    EXPECT_THROW(filtered(f.client), h::usage_error);
    f.server.writer.close();
    EXPECT_THROW(filtered(f.server), h::usage_error);
  });
}

TEST_P(StreamFilter, TheHttpEngineDoesNotKnowOfIt) {
  run([how = GetParam()]() -> h::task<> {
    namespace http = h::http;
    auto engine = http::detail::engine::make(http::server_options());
    engine->routes.add(
        http::method::get, "/hello", [](http::request&) { return http::response::text("Hello!"); },
        false);
    co_await http::detail::start_listening(*engine, "127.0.0.1", 0);  // for its counters alone
    auto e = co_await connect_ends(how);
    filtered(e.client);
    filtered(e.server);
    auto serving = h::create_task(http::detail::converse(engine, std::move(e.server)));
    for (int i = 0; i < 3; ++i) {
      e.client.writer.write("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
      const std::string status = co_await e.client.reader.read_line();
      EXPECT_EQ(status, "HTTP/1.1 200 OK\r\n");
      const std::string rest = co_await e.client.reader.read_until("Hello!");
      EXPECT_TRUE(rest.ends_with("\r\n\r\nHello!"));
    }
    e.client.writer.close();
    co_await serving;
    co_await http::detail::stop_listening(*engine, h::duration::zero());
  });
}

}  // namespace
