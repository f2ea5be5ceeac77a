// SPDX-License-Identifier: MIT
// Streams that find no memory: what throws leaves them as they were.
#include "io/runtime.h"

#include <heddle/core/base/config.h>

#include <support/streams.h>

#include <cstdlib>
#include <new>
#include <string>

// A sanitizer has an operator new of its own, which knows where memory came from.
#if !HEDDLE_ASAN && !HEDDLE_TSAN

namespace {
thread_local bool short_of_memory = false;
}  // namespace

HEDDLE_NOINLINE void* operator new(std::size_t n) {
  if (short_of_memory) throw std::bad_alloc();
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
HEDDLE_NOINLINE void operator delete(void* p) noexcept { std::free(p); }
HEDDLE_NOINLINE void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using namespace io_test;
using support::fill_up;

/// This thread finds no memory while one stands. Nothing may be awaited meanwhile.
struct shortage {
  shortage() { short_of_memory = true; }
  shortage(const shortage&) = delete;
  ~shortage() { short_of_memory = false; }
};

class StreamOutOfMemory : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, StreamOutOfMemory, testing::ValuesIn(all_ways()), name_of);

/// The await of a fill without memory; the role that it took goes with the awaiter.
bool fill_throws(h::stream_reader& r) {
  auto more = r.fill();
  const shortage now;
  try {
    (void)more.await_ready();
  } catch (const std::bad_alloc&) { return true; }
  return false;
}

TEST_P(StreamOutOfMemory, AFillThatThrowsLosesNothingAndGivesTheReadersRoleBack) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    std::string text;
    for (int i = 0; i < 50'000; ++i) text += static_cast<char>('a' + i % 26);
    e.client.writer.write(text);
    auto& r = e.server.reader;
    (void)co_await r.fill();
    bool thrown = false;  // it must, since all of it does not fit into a block
    co_await until([&] {
      thrown = fill_throws(r);
      return thrown || r.buffered().size() == text.size();
    });
    EXPECT_TRUE(thrown);
    while (r.buffered().size() < text.size()) (void)co_await r.fill();
    const std::string got = co_await r.read_exactly(50'000);
    EXPECT_TRUE(got == text);
  });
}

TEST_P(StreamOutOfMemory, AWriteThatThrowsHasWrittenNothing) {
  run([how = GetParam()]() -> h::task<> {
    auto e = co_await connect_ends(how);
    auto& w = e.client.writer;
    std::size_t written = co_await fill_up(w);
    const std::string big(4'000'000, 'b');
    const auto before = w.buffered();
    {
      const shortage now;
      EXPECT_THROW(w.write(big), std::bad_alloc);
    }
    EXPECT_EQ(w.buffered(), before);
    w.write("rest");
    w.close();
    written += 4;
    EXPECT_EQ(co_await support::swallow(e.server.reader), written);
    co_await w.wait_closed();
  });
}

}  // namespace

#endif
