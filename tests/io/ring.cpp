// SPDX-License-Identifier: MIT
// A ring by itself, polled by the test: who submits, what is withdrawn, what is armed again.
#include "io/runtime.h"

#include <heddle/io/reactor/uring.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

namespace {

using namespace io_test;
using h::detail::fd;
using h::detail::io_source;
using h::detail::uring_reactor;
using h::detail::watched_for;

/// Notes what the kernel has sent.
struct noted final : h::detail::source_owner {
  void hold() noexcept override {}
  void drop() noexcept override {}
  void sent(int result) noexcept override { results.push_back(result); }
  void reactor_gone() noexcept override {}
  std::vector<int> results;
};

class Ring : public testing::Test {
 protected:
  void SetUp() override {
    try {
      ring.emplace();
    } catch (const std::system_error& e) { GTEST_SKIP() << e.what(); }
  }
  /// By a thread that ends.
  template <class F>
  static void elsewhere(F f) {
    std::thread(f).join();
  }
  io_source& watch(int descriptor, watched_for purpose, h::detail::source_owner* o = nullptr) {
    return ring->watch(descriptor, o, purpose);
  }
  template <class F>
  static void under_lock(io_source& s, F f) {
    s.readable.lock();
    f();
    s.readable.unlock();
  }
  /// Polls until `condition()`; false: it does not come.
  template <class F>
  bool poll_until(F condition) {
    for (int i = 0; i < 2000; ++i) {
      if (condition()) return true;
      (void)ring->poll(5ms);
    }
    return false;
  }

  /// The same by another's help: the owner has ended.
  template <class F>
  bool rescue_until(F condition) {
    for (int i = 0; i < 10'000; ++i) {
      (void)ring->rescue();
      if (condition()) return true;
      std::this_thread::sleep_for(1ms);
    }
    return false;
  }

  std::optional<uring_reactor> ring;
};

/// A watched source, and whether it was told anything in this life.
struct watched {
  explicit watched(io_source& s) noexcept : source(&s), before(s.edges()) {}
  [[nodiscard]] bool told() const noexcept { return source->edges() != before; }
  io_source* source;
  std::uint32_t before;
};

TEST_F(Ring, SubmitsForAThreadThatHasEnded) {
  (void)ring->poll(h::duration::zero());
  couple c;
  std::optional<watched> w;
  elsewhere([&] { w.emplace(watch(c.near.get(), watched_for::reading)); });
  EXPECT_EQ(::write(c.far.get(), "x", 1), 1);
  EXPECT_TRUE(poll_until([&] { return w->told(); }));
  w->source->retire();
}

TEST_F(Ring, TakesMoreFromForeignThreadsThanItsQueueHolds) {
  (void)ring->poll(h::duration::zero());
  rlimit most{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &most), 0);
  rlimit more = most;
  more.rlim_cur = std::min<rlim_t>(most.rlim_max, 4096);
  (void)::setrlimit(RLIMIT_NOFILE, &more);
  fd bell(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  std::vector<fd> copies;
  std::vector<watched> sources;
  elsewhere([&] {
    for (int i = 0; i < 2500; ++i) {
      fd copy(::fcntl(bell.get(), F_DUPFD_CLOEXEC, 3));
      if (!copy.valid()) break;
      sources.emplace_back(watch(copy.get(), watched_for::reading));
      copies.push_back(std::move(copy));
    }
  });
  const auto told = [&] {
    return std::all_of(sources.begin(), sources.end(), [](const watched& w) { return w.told(); });
  };
  EXPECT_TRUE(poll_until(told)) << sources.size() << " watched";
  elsewhere([&] {
    for (const auto& w : sources) w.source->retire();
  });
  (void)::setrlimit(RLIMIT_NOFILE, &most);
}

TEST_F(Ring, ArmsAgainWhatTheKernelCancelsWithTheThreadThatSubmittedIt) {
  couple polled, received;
  io_source* p = nullptr;
  io_source* r = nullptr;
  std::uint32_t before = 0;
  elsewhere([&] {  // it is the owner, and ends
    p = &watch(polled.near.get(), watched_for::reading);
    before = p->edges();
    r = &watch(received.near.get(), watched_for::streaming);
    under_lock(*r, [&] { ring->receive_more(*r); });
    (void)ring->poll(h::duration::zero());
  });
  EXPECT_EQ(::write(polled.far.get(), "x", 1), 1);
  EXPECT_EQ(::write(received.far.get(), "x", 1), 1);
  EXPECT_TRUE(rescue_until([&] {
    std::size_t bytes = 0;
    under_lock(*r, [&] { bytes = r->kernel.bytes; });
    return p->edges() != before && bytes == 1;
  }));
  under_lock(*r, [&] {
    EXPECT_EQ(r->kernel.bytes, 1u);
    EXPECT_EQ(r->kernel.end, 0);
  });
  p->retire();
  ::shutdown(received.near.get(), SHUT_RDWR);
  r->retire();
}

TEST_F(Ring, SendsAgainWhatTheKernelCancelsWithTheThreadThatSubmittedIt) {
  couple c;
  noted owner;
  const int small = 4096;
  ::setsockopt(c.near.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  while (::send(c.near.get(), "filling", 7, MSG_DONTWAIT) > 0) {}
  io_source* s = nullptr;
  elsewhere([&] {
    s = &watch(c.near.get(), watched_for::streaming, &owner);
    under_lock(*s, [&] { ring->send(*s, c.near.get(), "late", 4); });
    (void)ring->poll(h::duration::zero());
  });
  char bytes[512];
  while (::recv(c.far.get(), bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}  // now there is room
  EXPECT_TRUE(rescue_until([&] { return !owner.results.empty(); }));
  ASSERT_EQ(owner.results.size(), 1u);
  EXPECT_EQ(owner.results[0], -EAGAIN);  // so that the stream tries again
  s->retire();
}

TEST_F(Ring, ReceivesNothingForADescriptorThatWasClosedBeforeItSubmitted) {
  (void)ring->poll(h::duration::zero());
  for (const bool foreign : {false, true}) {
    auto old = std::make_unique<couple>();
    const int number = old->near.get();
    const auto begin = [&] {
      auto& s = watch(number, watched_for::streaming);
      under_lock(s, [&] { ring->receive_more(s); });
      s.retire();
    };
    if (foreign)
      elsewhere(begin);
    else
      begin();
    old.reset();
    couple fresh;
    ASSERT_EQ(fresh.near.get(), number) << "the number was not given away again";
    EXPECT_EQ(::write(fresh.far.get(), "mine", 4), 4);
    for (int i = 0; i < 10; ++i) (void)ring->poll(h::duration::zero());
    char bytes[8];
    EXPECT_EQ(::recv(fresh.near.get(), bytes, sizeof bytes, MSG_DONTWAIT), 4);
  }
}

TEST_F(Ring, PollsNothingForADescriptorThatWasClosedBeforeItSubmitted) {
  (void)ring->poll(h::duration::zero());
  auto old = std::make_unique<couple>();
  const int number = old->near.get();
  io_source* s = nullptr;
  elsewhere([&] {
    s = &watch(number, watched_for::reading);
    s->retire();
  });
  old.reset();
  couple fresh;
  ASSERT_EQ(fresh.near.get(), number);
  for (int i = 0; i < 10; ++i) (void)ring->poll(h::duration::zero());
  fresh.near.reset();  // nothing in the kernel keeps it open: the other side is told at once
  char byte;
  EXPECT_EQ(::recv(fresh.far.get(), &byte, 1, MSG_DONTWAIT), 0);
}

// Protocol BELL. A poll that hears no bell takes all of this time; on a busy machine one that hears
// it may take long, too.
constexpr auto unheard = 60s;

TEST_F(Ring, HearsTheBellThatARescuerHasTaken) {
  (void)ring->poll(h::duration::zero());
  elsewhere([&] {
    ring->wake();
    for (int i = 0; i < 100; ++i) {
      (void)ring->rescue();
      std::this_thread::yield();
    }
  });
  const auto before = h::clock::now();
  (void)ring->poll(unheard);
  EXPECT_LT(h::clock::now() - before, unheard);
}

TEST_F(Ring, LosesNoBellBesideRescuers) {
  (void)ring->poll(h::duration::zero());
  std::atomic<int> wanted{0}, handed{0};
  std::atomic<bool> stop{false};
  // A few rescues for each bell. A rescuer that never pauses holds the lock of the completions
  // nearly always: the owner would find the lock free after seconds only.
  std::thread rescuer([&] {
    for (int seen = 0; !stop;) {
      while (handed == seen && !stop) std::this_thread::yield();
      seen = handed;
      for (int i = 0; i < 3; ++i) (void)ring->rescue();
    }
  });
  std::thread ringer([&] {
    for (int i = 1; !stop; ++i) {
      while (wanted < i && !stop) std::this_thread::yield();
      handed = i;
      ring->wake();
    }
  });
  for (int i = 1; i <= support::rounds(500) && !HasFailure(); ++i) {
    wanted = i;
    while (handed < i && !HasFailure()) {
      const auto before = h::clock::now();
      (void)ring->poll(unheard);
      EXPECT_LT(h::clock::now() - before, unheard) << "round " << i;
    }
  }
  stop = true;
  rescuer.join();
  ringer.join();
}

TEST_F(Ring, SendsAnyLengthInPieces) {
  constexpr std::size_t two = std::size_t{2} << 30;
  // Reading untouched memory takes none: all of it is one page of zeros.
  constexpr std::size_t room = 2 * two + 4096;
  void* zeros =
      ::mmap(nullptr, room, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(zeros, MAP_FAILED);
  for (const std::size_t size : {two - 1, two, two + 1, 2 * two - 1, 2 * two, 2 * two + 1}) {
    couple c;
    noted owner;
    auto& s = watch(c.near.get(), watched_for::streaming, &owner);
    under_lock(s, [&] { ring->send(s, c.near.get(), static_cast<const char*>(zeros), size); });
    EXPECT_TRUE(poll_until([&] { return !owner.results.empty(); }));
    ASSERT_EQ(owner.results.size(), 1u);
    EXPECT_GT(owner.results[0], 0) << size;
    s.retire();
  }
  ::munmap(zeros, room);
}

}  // namespace
