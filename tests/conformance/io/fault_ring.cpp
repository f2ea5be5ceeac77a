// SPDX-License-Identifier: MIT
// A ring at its limits: refused at the start, full, overflowing, and asked for 4 GiB in one write.
#include "fault_cases.h"

#include <heddle/io/datagram.h>
#include <heddle/io/reactor/uring.h>

#include <sys/mman.h>

namespace {

using namespace conformance;

class IO_FAULT_RING : public reactor_cases {
 protected:
  void SetUp() override {
    reactor_cases::SetUp();
    if (reactors().size() < 2) GTEST_SKIP() << "this kernel allows no ring";
  }
  /// Runs `body` on the reactor that is chosen by itself.
  template <class F>
  void run_by_choice(F body) {
    const char* const set = std::getenv("HEDDLE_REACTOR");
    const std::string before = set ? set : "auto";
    options.reactor = h::reactor_kind::automatic;
    (void)::setenv("HEDDLE_REACTOR", "auto", 1);
    cases::run(body);
    (void)::setenv("HEDDLE_REACTOR", before.c_str(), 1);
  }
};
HEDDLE_AT_LOOPS(IO_FAULT_RING);

h::task<> serves_on_epoll(std::string reason) {
  auto& here = h::current_runtime();
  EQUAL(here.reactor(), "epoll");
  HOLDS(here.reactor_note().find(reason) != std::string::npos);
  HOLDS(here.reactor_note().find("epoll is used instead") != std::string::npos);
  auto s = co_await h::start_server(serve_echo, "127.0.0.1", 0);
  EQUAL(co_await ask(s.port(), "served"), "served\n");
}

TEST_P(IO_FAULT_RING, IO_FAULT_16_ARingThatIsRefusedAtTheStartFallsBackWithAReason) {
  const auto before = open_ends();
  // The probe makes the first ring, the loops make the others.
  for (unsigned nth = 0; nth <= loops(); ++nth) {
    const injected limit({.where = call::ring_setup, .code = ENOMEM, .after = int(nth)});
    run_by_choice([] { return serves_on_epoll("limit of locked memory"); });
    EQUAL(limit.met(), 1);
  }
  {
    const injected forbidden({.where = call::ring_setup, .code = EPERM});
    run_by_choice([] { return serves_on_epoll("forbidden"); });
  }
  EQUAL(open_ends(), before);
}

TEST_P(IO_FAULT_RING, IO_FAULT_16_ARingThatWasAskedForAndIsRefusedIsAnErrorWithAdvice) {
  const auto before = open_ends();
  for (unsigned nth = 0; nth <= loops(); ++nth) {
    const injected limit({.where = call::ring_setup, .code = ENOMEM, .after = int(nth)});
    options.reactor = h::reactor_kind::uring;
    std::exception_ptr error;
    try {
      cases::run([]() -> h::task<> { co_return; });
    } catch (...) { error = std::current_exception(); }
    EQUAL(code_of(error), ENOMEM);
    HOLDS(says(error, "ulimit -l"));
    HOLDS(says(error, "choose epoll"));
  }
  EQUAL(open_ends(), before);
}

/// So many conversations at once that the queues of a small ring are full all the time.
h::task<> converse_with_many(std::size_t clients) {
  auto s = co_await h::start_server(serve_echo, "127.0.0.1", 0);
  const auto port = s.port();
  auto one = [](std::uint16_t to, std::size_t number) -> h::task<> {
    auto c = co_await h::open_connection("127.0.0.1", to);
    for (int i = 0; i < 20; ++i) {
      const std::string line = std::to_string(number) + " says " + std::to_string(i);
      const std::string answer = co_await talk(c, line);
      HOLDS(answer == line + "\n");
    }
    const std::string blob(100'000, 'b');
    c.writer.write(blob);
    const std::string got = co_await c.reader.read_exactly(100'000);
    HOLDS(got == blob);
    c.writer.write_eof();
    EQUAL(co_await c.reader.read(), "");
  };
  std::vector<h::task_handle<>> all;
  for (std::size_t i = 0; i < clients; ++i) all.push_back(h::create_task(one(port, i)));
  for (auto& t : all) co_await t;
}

TEST_P(IO_FAULT_RING, IO_FAULT_16_AFullQueueAndAnOverflowLoseNothing) {
  const auto before = open_ends();
  for (const std::size_t entries : {2u, 8u}) {
    const injected small({.where = call::ring_setup, .most = entries, .times = -1});
    options.reactor = h::reactor_kind::uring;
    cases::run([] { return converse_with_many(40); });
    HOLDS(small.met() > 0);
  }
  EQUAL(open_ends(), before);
  EQUAL(report_count(), 0u);
}

// --- 17 ---

/// Notes what the kernel has sent.
struct noted final : h::detail::source_owner {
  void hold() noexcept override {}
  void drop() noexcept override {}
  void sent(int result) noexcept override { results.push_back(result); }
  void reactor_gone() noexcept override {}
  std::vector<int> results;
};

/// Memory that costs nothing as long as it is only read.
class vast_memory {
 public:
  explicit vast_memory(std::size_t n)
      : size_(n),
        at_(::mmap(nullptr, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  vast_memory(const vast_memory&) = delete;
  ~vast_memory() {
    if (valid()) ::munmap(at_, size_);
  }
  [[nodiscard]] bool valid() const { return at_ != MAP_FAILED; }
  [[nodiscard]] const char* data() const { return static_cast<const char*>(at_); }

 private:
  std::size_t size_;
  void* at_;
};

/// What one send of `size` bytes has sent.
int sent_of(const vast_memory& all, std::size_t size) {
  h::detail::uring_reactor ring;
  (void)ring.poll(h::duration::zero());
  const socket_pair ends;
  noted owner;
  auto& s = ring.watch(ends[0], &owner, h::detail::watched_for::streaming);
  s.readable.lock();
  ring.send(s, ends[0], all.data(), size);
  s.readable.unlock();
  for (int i = 0; i < 10'000 && owner.results.empty(); ++i) (void)ring.poll(5ms);
  ::shutdown(ends[0], SHUT_RDWR);
  s.retire();
  return owner.results.empty() ? -1 : owner.results.front();
}

// An entry of a ring holds 32 bits of a length. Cut to them, 4 GiB would be a send of nothing,
// which would be made again for ever.
TEST_P(IO_FAULT_RING, IO_FAULT_17_AWriteOfFourGibibytesIsSentInPiecesOfTheRest) {
  static_assert(h::detail::most_sent_at_once < (std::size_t{1} << 31), "a result is an int");
  // ThreadSanitizer would shadow all of the memory: there the same with 4 MiB.
  constexpr std::size_t four = std::size_t{4} << (HEDDLE_TSAN ? 20 : 30);
  const vast_memory all(four + 4096);
  if (!all.valid()) GTEST_SKIP() << "there is no room for addresses";
  for (const std::size_t size : {four, four + 1, four / 2, std::size_t{1}}) {
    const int n = sent_of(all, size);
    HOLDS(n > 0);
    HOLDS(static_cast<std::size_t>(n) <= size);
  }
}

}  // namespace
