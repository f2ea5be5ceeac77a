// SPDX-License-Identifier: MIT
// Readers made of readers, and the first of several that has something.
#include "../io_cases.h"

#include <heddle/io/derived_reader.h>
#include <heddle/io/first_ready.h>

#include <cstdint>
#include <stdexcept>

namespace {

using namespace conformance;

STREAM_CASES(IO_STREAM_PARTS);

h::task<> read_into(h::stream_reader& r, std::string& to) { to = co_await r.read(); }
h::task<> read_some_into(h::stream_reader& r, std::ptrdiff_t n, std::string& to) {
  to = co_await r.read_exactly(n);
}
h::task<> first_into(std::vector<h::stream_reader*> readers, std::size_t& to) {
  to = co_await h::first_ready(std::move(readers));
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_10_TheNextBytesEndExactlyAndTheRestIsUntouched) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto& in = e.server.reader;
    e.client.writer.write("line\nbody");
    {
      h::derived_reader part = h::take(in, 7);
      const std::string line = co_await part.read_line();
      EQUAL(line, "line\n");
      THROWS(h::usage_error, h::take(in, 1));
      const auto taken = co_await error_of(in.read(1));
      EQUAL(name_of(taken), "Usage");
      const std::string rest = co_await part.read();
      EQUAL(rest, "bo");
      HOLDS(part.at_eof());
      const auto error = co_await error_of(part.read_exactly(1));
      HOLDS(error != nullptr);
    }
    const std::string left = co_await in.read_exactly(2);
    EQUAL(left, "dy");
    e.client.writer.write("xyz");
    e.client.writer.write_eof();
    h::derived_reader nothing = h::take(in, 0);
    const std::string none = co_await nothing.read();
    EQUAL(none, "");
    nothing.end();
    h::derived_reader more = h::take(in, 100);  // the source ends before
    const std::string all = co_await more.read();
    EQUAL(all, "xyz");
    THROWS(h::bad_value, h::take(e.client.reader, ~std::uint64_t{0}));
  });
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_10_WhatWasNotConsumedGoesBackToItsSource) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto f = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("one two "));
    co_await feed(f.client, f.server.reader, words("three four "));
    h::derived_reader both = h::chain(e.server.reader, f.server.reader);
    const std::string_view seen = co_await both.peek(19);
    EQUAL(seen, "one two three four ");
    const std::string one = co_await both.read_until(" ");
    EQUAL(one, "one ");
    h::derived_reader moved = std::move(both);
    moved.end();
    moved.end();
    const std::string none = co_await moved.read();
    EQUAL(none, "");
    const std::string two = co_await e.server.reader.read();
    EQUAL(two, "two ");
    h::derived_reader again = h::chain(e.server.reader, f.server.reader);
    const std::string three = co_await again.read_until(" ");
    EQUAL(three, "three ");
    again.end();
    const std::string four = co_await f.server.reader.read();
    EQUAL(four, "four ");
  });
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_10_AChainGoesOnWithTheSecondWhereTheFirstEnds) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto f = co_await connect_ends();
    THROWS(h::usage_error, h::chain(e.server.reader, e.server.reader));
    h::derived_reader both = h::chain(e.server.reader, f.server.reader);
    h::derived_reader part = h::take(both, 11);
    std::string got;
    auto reading = h::create_task(read_into, std::ref(part), std::ref(got));
    co_await until_waiting(reading);
    e.client.writer.write("first ");
    e.client.writer.write_eof();
    f.client.writer.write("second");
    co_await reading;
    EQUAL(got, "first secon");
    part.end();
    both.end();
    const std::string d = co_await f.server.reader.read_exactly(1);
    EQUAL(d, "d");
  });
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_10_ACancelledReadOfAPartHasTakenNothing) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto f = co_await connect_ends();
    e.client.writer.write_eof();
    f.client.writer.write("abc");
    h::derived_reader both = h::chain(e.server.reader, f.server.reader);
    h::derived_reader part = h::take(both, 6);
    std::string got;
    auto reading = h::create_task(read_some_into, std::ref(part), 6, std::ref(got));
    co_await until_waiting(reading);
    reading.cancel();
    const std::string how = co_await ending(reading);
    EQUAL(how, "Cancelled");
    f.client.writer.write("defg");
    const std::string six = co_await part.read_exactly(6);
    EQUAL(six, "abcdef");
  });
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_10_ErrorsOfTheSourcePass) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    co_await feed(e.client, e.server.reader, words("some"), false);
    h::derived_reader part = h::take(e.server.reader, 100);
    e.client.writer.abort();
    const auto error = co_await error_of(part.read_exactly(5));
    EQUAL(code_of(error), ECONNRESET);
    const auto again = co_await error_of(part.read_exactly(5));
    EQUAL(code_of(again), ECONNRESET);
    const std::string some = co_await part.read_exactly(4);
    EQUAL(some, "some");
  });
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_10_EachByteIsShownOnceAndATeeCopiesIt) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto log = co_await connect_ends();
    std::string text;
    for (int i = 0; text.size() < 200'000; ++i) text += std::to_string(i) + ",";
    e.client.writer.write(text);
    e.client.writer.write_eof();
    std::string seen;
    bool refuses = true;
    h::derived_reader shown = h::inspect(e.server.reader, [&](std::string_view bytes) {
      if (std::exchange(refuses, false)) throw std::runtime_error("not now");
      seen += bytes;
    });
    h::derived_reader teed = h::tee(shown, log.client.writer);
    auto copied = h::create_task(swallow, std::ref(log.server.reader));
    const auto error = co_await error_of(teed.read());
    HOLDS(error != nullptr);
    const std::string got = co_await teed.read();
    HOLDS(got == text);
    HOLDS(seen == text);
    log.client.writer.write_eof();
    const std::size_t n = co_await copied;
    EQUAL(n, text.size());
  });
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_19_TheFirstReaderWithBytesIsToldAndTheOthersLoseNothing) {
  run([]() -> h::task<> {
    auto a = co_await connect_ends();
    auto b = co_await connect_ends();
    auto c = co_await connect_ends();
    auto& x = a.server.reader;
    auto& y = b.server.reader;
    auto& z = c.server.reader;
    std::size_t first = 9;
    std::vector<h::stream_reader*> all{&x, &y, &z};
    auto waiting = h::create_task(first_into, all, std::ref(first));
    co_await until_waiting(waiting);
    b.client.writer.write("second");
    co_await waiting;
    EQUAL(first, 1u);
    first = co_await h::first_ready(x, y, z);  // it is there still
    EQUAL(first, 1u);
    a.client.writer.write("first");
    c.client.writer.write("third");
    const std::string second = co_await y.read_exactly(6);
    EQUAL(second, "second");
    first = co_await h::first_ready(x, y, z);
    HOLDS(first == 0 || first == 2);
    const std::string one = co_await x.read_exactly(5);
    const std::string three = co_await z.read_exactly(5);
    EQUAL(one + " " + three, "first third");
    b.client.writer.write_eof();  // an end is something, too
    first = co_await h::first_ready(x, y, z);
    EQUAL(first, 1u);
    first = co_await h::first_ready(z, y, x);
    EQUAL(first, 1u);
  });
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_19_AnErrorIsToldByItsPlaceAndBugsAreThrown) {
  run([]() -> h::task<> {
    auto a = co_await connect_ends();
    auto b = co_await connect_ends();
    std::vector<h::stream_reader*> both{&a.server.reader, &b.server.reader};
    std::size_t first = 9;
    auto waiting = h::create_task(first_into, both, std::ref(first));
    co_await until_waiting(waiting);
    b.client.writer.abort();
    co_await waiting;
    EQUAL(first, 1u);
    const auto error = co_await error_of(b.server.reader.read(1));
    EQUAL(code_of(error), ECONNRESET);
    THROWS(h::bad_value, h::first_ready(std::vector<h::stream_reader*>()));
    auto c = co_await connect_ends();
    std::string got;
    auto reading = h::create_task(read_into, std::ref(c.server.reader), std::ref(got));
    co_await until_waiting(reading);
    const auto bug = co_await error_of(h::first_ready(a.server.reader, c.server.reader));
    EQUAL(name_of(bug), "Usage");
    c.client.writer.write_eof();
    co_await reading;
  });
}

TEST_P(IO_STREAM_PARTS, IO_STREAM_19_ACancelledWaitLosesNoByte) {
  run([]() -> h::task<> {
    for (int i = 0; i < 20; ++i) {
      auto a = co_await connect_ends();
      auto b = co_await connect_ends();
      std::vector<h::stream_reader*> both{&a.server.reader, &b.server.reader};
      std::size_t first = 9;
      auto waiting = h::create_task(first_into, both, std::ref(first));
      if (i % 2 == 0) co_await until_waiting(waiting);
      a.client.writer.write("one");
      b.client.writer.write("two");
      waiting.cancel();
      const std::string how = co_await ending(waiting);
      HOLDS(how == "Cancelled" || how == "value");
      const std::string one = co_await a.server.reader.read_exactly(3);
      const std::string two = co_await b.server.reader.read_exactly(3);
      EQUAL(one + two, "onetwo");
    }
  });
}

}  // namespace
