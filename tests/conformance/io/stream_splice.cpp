// SPDX-License-Identifier: MIT
// Copies of many bytes between sockets, which the kernel moves by a pipe where it can.
#include "tls_support.h"

#include <heddle/io/copy.h>

#include <algorithm>

namespace {

using namespace conformance;

REACTOR_CASES(IO_STREAM_SPLICE);

std::string numbers(std::size_t size) {
  std::string text;
  text.reserve(size + 16);
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  return text;
}

h::task<> copy_counted(h::stream_reader& from, h::stream_writer& to, std::uint64_t& count) {
  (void)co_await h::copy(from, to, count);
}
h::task<> read_text(h::stream_reader& r, std::string& to) { to = co_await r.read(); }

/// Both ends of a pair of Unix sockets.
h::task<ends> connect_unix() {
  int both[2];
  (void)::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both);
  auto adopting = h::adopt_connection(both[0]);
  h::connection a = co_await std::move(adopting);
  auto adopting_too = h::adopt_connection(both[1]);
  h::connection b = co_await std::move(adopting_too);
  ends e{std::move(a), std::move(b)};
  co_return e;
}

/// Copies from one connection to another. Yields true if all came as it was written.
h::task<bool> copies(ends from, ends to, std::size_t size) {
  const std::string text = numbers(size);
  from.client.writer.write(text);
  from.client.writer.write_eof();
  std::string got;
  auto reading = h::create_task(read_text, std::ref(to.server.reader), std::ref(got));
  std::uint64_t count = 0;
  auto copying = h::create_task(copy_counted, std::ref(from.server.reader),
                                std::ref(to.client.writer), std::ref(count));
  co_await copying;
  to.client.writer.write_eof();
  co_await reading;
  co_return got == text&& count == text.size();
}

TEST_P(IO_STREAM_SPLICE, IO_STREAM_04_ManyBytesArriveEqualAndNoDescriptorStays) {
  run([]() -> h::task<> {
    std::size_t before = 0;
    for (int i = 0; i < 2; ++i) {  // the first round opens what the process keeps
      before = open_descriptors();
      ends near = co_await connect_ends();
      ends far = co_await connect_ends();
      bool equal = co_await copies(std::move(near), std::move(far), 2'000'000);
      HOLDS(equal);
      near = co_await connect_unix();
      far = co_await connect_ends();
      equal = co_await copies(std::move(near), std::move(far), 300'000);
      HOLDS(equal);
      near = co_await connect_ends();
      far = co_await connect_unix();
      equal = co_await copies(std::move(near), std::move(far), 300'000);
      HOLDS(equal);
    }
    auto closed = until([before] { return open_descriptors() <= before; });
    co_await std::move(closed);
  });
}

TEST_P(IO_STREAM_SPLICE, IO_STREAM_04_WithTlsOrMemoryTheBytesGoTheUsualWay) {
  run([]() -> h::task<> {
    ends near = co_await connect_tls_ends();
    ends far = co_await connect_ends();
    bool equal = co_await copies(std::move(near), std::move(far), 300'000);
    HOLDS(equal);
    near = co_await connect_ends();
    far = co_await connect_tls_ends();
    equal = co_await copies(std::move(near), std::move(far), 300'000);
    HOLDS(equal);
    near = co_await connect_ends();
    auto pair = h::memory_pair();
    far.client = std::move(pair.first);
    far.server = std::move(pair.second);
    equal = co_await copies(std::move(near), std::move(far), 300'000);
    HOLDS(equal);
  });
}

/// Nobody reads at the far end: the copy waits for room, and is cancelled there.
h::task<> cancel_at_full(ends near, ends far, std::size_t size) {
  const std::string text = numbers(size);
  near.client.writer.write(text);
  near.client.writer.write_eof();
  std::uint64_t count = 0;
  auto copying = h::create_task(copy_counted, std::ref(near.server.reader),
                                std::ref(far.client.writer), std::ref(count));
  auto full = until([&] { return waits(copying) && far.client.writer.buffered() > 0; });
  co_await std::move(full);
  copying.cancel();
  const std::string how = co_await ending(copying);
  EQUAL(how, "Cancelled");
  far.client.writer.write_eof();
  std::string got = co_await far.server.reader.read();
  EQUAL(got.size(), count);
  got += co_await near.server.reader.read();
  HOLDS(got == text);
}

TEST_P(IO_STREAM_SPLICE, IO_STREAM_04_AFullTargetIsWaitedForAndACancelledCopyLosesNoByte) {
  run([]() -> h::task<> {
    ends near = co_await connect_ends();
    ends far = co_await connect_ends();
    co_await cancel_at_full(std::move(near), std::move(far), 16'000'000);
    near = co_await connect_ends();
    far = co_await connect_unix();
    co_await cancel_at_full(std::move(near), std::move(far), 2'000'000);
  });
}

h::task<> write_marks(h::stream_writer& w, std::atomic<bool>& over, std::size_t& marks) {
  while (!over.load()) {
    w.write("!!!!");
    ++marks;
    co_await w.drain();
    co_await h::sleep(100us);
  }
}

TEST_P(IO_STREAM_SPLICE, IO_STREAM_04_WhatOthersWriteStandsBetweenTwoPieces) {
  run([]() -> h::task<> {
    ends near = co_await connect_ends();
    ends far = co_await connect_ends();
    const std::string text = numbers(1'000'000);
    near.client.writer.write(text);
    near.client.writer.write_eof();
    std::string got;
    auto reading = h::create_task(read_text, std::ref(far.server.reader), std::ref(got));
    std::atomic<bool> over{false};
    std::size_t marks = 0;
    auto marking =
        h::create_task(write_marks, std::ref(far.client.writer), std::ref(over), std::ref(marks));
    std::uint64_t count = 0;
    auto copying = h::create_task(copy_counted, std::ref(near.server.reader),
                                  std::ref(far.client.writer), std::ref(count));
    co_await copying;
    over = true;
    co_await marking;
    far.client.writer.write_eof();
    co_await reading;
    EQUAL(got.size(), text.size() + 4 * marks);
    for (std::size_t at = got.find('!'); at != std::string::npos; at = got.find('!', at + 4))
      if (got.substr(at, 4) != "!!!!") ADD_FAILURE() << "a mark was torn at " << at;
    got.erase(std::remove(got.begin(), got.end(), '!'), got.end());
    HOLDS(got == text);
  });
}

}  // namespace
