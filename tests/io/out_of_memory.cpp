// SPDX-License-Identifier: MIT
// Streams that find no memory: what throws leaves them as they were. Handlers of descriptors and
// signals that cannot be called for want of memory are called once there is some.
#include "io/runtime.h"

#include <heddle/core/base/config.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/sched/loop.h>

#include <support/streams.h>

#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// A sanitizer has an operator new of its own, which knows where memory came from.
#if !HEDDLE_ASAN && !HEDDLE_TSAN

namespace {
thread_local bool short_of_memory = false;
thread_local std::size_t refusals = 0;

void refuse_when_short() {
  if (!short_of_memory) return;
  ++refusals;
  throw std::bad_alloc();
}
}  // namespace

HEDDLE_NOINLINE void* operator new(std::size_t n) {
  refuse_when_short();
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
HEDDLE_NOINLINE void* operator new(std::size_t n, std::align_val_t alignment) {
  refuse_when_short();
  const auto a = static_cast<std::size_t>(alignment);
  if (void* p = std::aligned_alloc(a, (n + a - 1) / a * a)) return p;
  throw std::bad_alloc();
}
HEDDLE_NOINLINE void operator delete(void* p) noexcept { std::free(p); }
HEDDLE_NOINLINE void operator delete(void* p, std::size_t) noexcept { std::free(p); }
HEDDLE_NOINLINE void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
HEDDLE_NOINLINE void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}

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

// --- handlers ---

/// As shortage, and the thread's cache of frames is empty, too. Its one loop may go on.
class starved {
 public:
  starved() {
    short_of_memory = true;
    for (std::size_t i = 0; i < cache::classes; ++i) try {
        for (;;) held_[i] = new (h::detail::frame_allocate_from(i)) block{held_[i]};
      } catch (const std::bad_alloc&) {}
  }
  starved(const starved&) = delete;
  ~starved() {
    short_of_memory = false;
    for (std::size_t i = 0; i < cache::classes; ++i)
      while (held_[i])
        h::detail::frame_free_to(i, std::exchange(held_[i], held_[i]->next), cache::batch_of(i));
  }

 private:
  using cache = h::detail::frame_depot;
  struct block {
    block* next;
  };
  block* held_[cache::classes] = {};
};

HEDDLE_NOINLINE std::size_t refused() { return refusals; }

struct couple {
  couple() {
    int both[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, both) != 0)
      throw std::runtime_error("socketpair");
    near = h::detail::fd(both[0]);
    far = h::detail::fd(both[1]);
  }
  h::detail::fd near, far;
};

std::vector<setup> one_loop() {
  std::vector<setup> all;
  for (const auto& s : all_setups())
    if (s.loops == 1) all.push_back(s);
  return all;
}

class HandlersOutOfMemory : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HandlersOutOfMemory, testing::ValuesIn(one_loop()), name_of);

TEST_P(HandlersOutOfMemory, AnEdgeThatFindsNoMemoryIsToldAgain) {
  run([]() -> h::task<> {
    const couple c;
    int bytes = 0;
    h::current_loop().add_reader(c.near.get(), [&] {
      char some[8];
      const auto n = ::recv(c.near.get(), some, sizeof some, MSG_DONTWAIT);
      if (n > 0) bytes += static_cast<int>(n);
    });
    const auto limit = h::clock::now() + 20s;
    {
      const starved now;
      const auto before = refused();
      EXPECT_EQ(::write(c.far.get(), "x", 1), 1);
      while (refused() < before + 3 && h::clock::now() < limit) co_await h::yield_now();
      EXPECT_GE(refused(), before + 3);
      EXPECT_EQ(bytes, 0);
    }
    co_await until([&] { return bytes == 1; });
    EXPECT_EQ(::write(c.far.get(), "y", 1), 1);
    co_await until([&] { return bytes == 2; });
    EXPECT_TRUE(h::current_loop().remove_reader(c.near.get()));
  });
  EXPECT_TRUE(reports.empty());
}

TEST_P(HandlersOutOfMemory, AHandlerThatLeavesItsDescriptorReadyIsCalledAgain) {
  for (const bool writing : {false, true})
    run([writing]() -> h::task<> {
      const couple c;
      EXPECT_EQ(::write(c.far.get(), "x", 1), 1);
      auto& here = h::current_loop();
      int calls = 0;
      int calls_then = 0;
      std::size_t before = 0;
      std::optional<starved> now;
      // By then the edge with which the watch began has been told.
      const auto settled = h::clock::now() + 20ms;
      const auto handler = [&] {
        ++calls;
        if (calls_then != 0 || h::clock::now() < settled) return;
        calls_then = calls;
        now.emplace();
        before = refused();
      };
      if (writing)
        here.add_writer(c.near.get(), handler);
      else
        here.add_reader(c.near.get(), handler);
      const auto limit = h::clock::now() + 20s;
      while ((calls_then == 0 || refused() == before) && h::clock::now() < limit)
        co_await h::yield_now();
      EXPECT_GT(refused(), before);
      now.reset();
      co_await until([&] { return calls > calls_then + 10; });
      EXPECT_TRUE(writing ? here.remove_writer(c.near.get()) : here.remove_reader(c.near.get()));
    });
  EXPECT_TRUE(reports.empty());
}

TEST_P(HandlersOutOfMemory, ASignalThatFindsNoMemoryIsToldAgain) {
  run([]() -> h::task<> {
    int calls = 0;
    h::current_loop().add_signal_handler(SIGUSR1, [&] { ++calls; });
    const auto limit = h::clock::now() + 20s;
    {
      const starved now;
      const auto before = refused();
      EXPECT_EQ(::kill(::getpid(), SIGUSR1), 0);
      while (refused() < before + 3 && h::clock::now() < limit) co_await h::yield_now();
      EXPECT_GE(refused(), before + 3);
      EXPECT_EQ(calls, 0);
    }
    co_await until([&] { return calls == 1; });
    EXPECT_TRUE(h::current_loop().remove_signal_handler(SIGUSR1));
  });
  EXPECT_TRUE(reports.empty());
}

}  // namespace

#endif
