// SPDX-License-Identifier: MIT
#include "../io_cases.h"

#include <heddle/io/copy.h>

namespace {

using namespace conformance;

STREAM_CASES(IO_STREAM_COPY);

h::task<> copy_counted(h::stream_reader& from, h::stream_writer& to, std::uint64_t& count) {
  (void)co_await h::copy(from, to, count);
}
h::task<> copy_both_ways(h::connection& a, h::connection& b, h::copied_bytes& counts) {
  (void)co_await h::copy(a, b, counts);
}

/// Starts a copy from one connection's server to another one's client.
h::task_handle<> start_copy(ends& from, ends& to, std::uint64_t& count) {
  return h::create_task(copy_counted, std::ref(from.server.reader), std::ref(to.client.writer),
                        std::ref(count));
}
/// Starts a proxy between one connection's server and another one's client.
h::task_handle<> start_proxy(ends& near, ends& far, h::copied_bytes& counts) {
  return h::create_task(copy_both_ways, std::ref(near.server), std::ref(far.client),
                        std::ref(counts));
}

TEST_P(IO_STREAM_COPY, IO_STREAM_02_WhatWasReadIsSentBeforeASilentSourceIsAwaited) {
  run([]() -> h::task<> {
    auto from = co_await connect_ends();
    auto to = co_await connect_ends();
    std::uint64_t count = 0;
    auto copying = start_copy(from, to, count);
    from.client.writer.write("hello");
    const std::string first = co_await to.server.reader.read_exactly(5);
    EQUAL(first, "hello");
    HOLDS(!copying.done());
    from.client.writer.write(" again");
    from.client.writer.write_eof();
    co_await copying;
    EQUAL(count, 11u);
    to.client.writer.write_eof();
    const std::string rest = co_await to.server.reader.read();
    EQUAL(rest, " again");
  });
}

TEST_P(IO_STREAM_COPY, IO_STREAM_03_AProxyPassesEachEndOnAndTheOtherWayGoesOn) {
  run([]() -> h::task<> {
    auto near = co_await connect_ends();
    auto far = co_await connect_ends();
    h::copied_bytes counts;
    auto copying = start_proxy(near, far, counts);
    near.client.writer.write("question");
    near.client.writer.write_eof();
    const std::string question = co_await far.server.reader.read();
    EQUAL(question, "question");
    HOLDS(!copying.done());
    far.server.writer.write("an answer");
    far.server.writer.write_eof();
    const std::string answer = co_await near.client.reader.read();
    EQUAL(answer, "an answer");
    co_await copying;
    EQUAL(counts.there, 8u);
    EQUAL(counts.back, 9u);
  });
}

TEST_P(IO_STREAM_COPY, IO_STREAM_03_AnErrorEndsBothWaysAndTheCountsStand) {
  run([]() -> h::task<> {
    auto near = co_await connect_ends();
    auto far = co_await connect_ends();
    h::copied_bytes counts;
    auto copying = start_proxy(near, far, counts);
    near.client.writer.write("question");
    const std::string question = co_await far.server.reader.read_exactly(8);
    EQUAL(question, "question");
    far.server.writer.abort();
    const auto error = co_await error_of(join(std::move(copying)));
    HOLDS(is_broken(error));
    EQUAL(counts.there, 8u);
    EQUAL(counts.back, 0u);
  });
}

TEST_P(IO_STREAM_COPY, IO_STREAM_05_ACancelledCopyHasGivenAllThatItTook) {
  run([]() -> h::task<> {
    auto from = co_await connect_ends();
    auto to = co_await connect_ends();
    std::string text;
    for (int i = 0; text.size() < 3'000'000; ++i) text += std::to_string(i) + ",";
    from.client.writer.write(text);
    from.client.writer.write_eof();
    std::uint64_t count = 0;
    auto copying = start_copy(from, to, count);
    std::string got = co_await to.server.reader.read_exactly(1000);
    copying.cancel();
    const std::string how = co_await ending(copying);
    HOLDS(how == "Cancelled" || how == "value");
    to.client.writer.write_eof();
    got += co_await to.server.reader.read();
    EQUAL(got.size(), count);
    const std::string rest = co_await from.server.reader.read();
    HOLDS(got + rest == text);
  });
}

h::task<> answer_turns(std::atomic<bool>& over, std::size_t& turns) {
  while (!over.load()) {
    ++turns;
    co_await h::yield_now();
  }
}

TEST_P(IO_STREAM_COPY, IO_STREAM_23_ACopyBetweenReadyEndsLetsOthersOfTheLoopRun) {
  run([]() -> h::task<> {
    auto from = co_await connect_ends();
    auto to = co_await connect_ends();
    const std::string text(4'000'000, 'x');
    from.client.writer.write(text);
    from.client.writer.write_eof();
    auto sink = h::create_task(swallow, std::ref(to.server.reader));
    std::atomic<bool> over{false};
    std::size_t turns = 0;
    auto other = h::create_task(answer_turns, std::ref(over), std::ref(turns));
    const auto n = co_await h::copy(from.server.reader, to.client.writer);
    over = true;
    co_await other;
    to.client.writer.write_eof();
    const std::size_t got = co_await sink;
    EQUAL(n, text.size());
    EQUAL(got, text.size());
    if (one_loop()) HOLDS(turns > 1);
  });
}

}  // namespace
