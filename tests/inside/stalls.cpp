// SPDX-License-Identifier: MIT
// Programs whose steps keep their loops for too long, again and again. The functions are not
// inlined, so that a stack has their names.
#include "programs.h"

#include <heddle/core/errors.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/sleep.h>
#include <heddle/sync/event.h>

#include <linux/futex.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace inside {

using namespace std::chrono_literals;

namespace {

std::int64_t used_by_thread() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// Not the last thing that a function does: else the compiler makes a jump of the call before it.
void stay() { asm volatile("" ::: "memory"); }

/// Computes until it has had a processor for `ms`, however busy the machine is.
[[gnu::noinline]] void compute(int ms) {
  const auto end = used_by_thread() + std::int64_t{ms} * 1'000'000;
  while (used_by_thread() < end)
    for (int i = 0; i < 2000; ++i) asm volatile("");
  stay();
}

[[gnu::noinline]] void parse_line(int ms) {
  compute(ms);
  stay();
}
[[gnu::noinline]] void parse(int ms) {
  parse_line(ms);
  stay();
}
h::task<> import_file(int ms) {
  parse(ms);
  co_await h::yield_now();
}
h::task<> import_all(int ms) {
  for (;;) {
    co_await import_file(ms);
    co_await h::sleep(10ms);
  }
}

// ------------------------------------------------------------------ blocked

constexpr int blocked_ms = 200;
constexpr timespec blocked_time{0, blocked_ms * 1'000'000};

void note(const char* call, bool cut_short) {
  if (cut_short) std::fprintf(stderr, "cut short: %s\n", call);
}

[[gnu::noinline]] void in_sleep() { note("nanosleep", ::nanosleep(&blocked_time, nullptr) != 0); }
[[gnu::noinline]] void in_poll() { note("poll", ::poll(nullptr, 0, blocked_ms) != 0); }
[[gnu::noinline]] void in_read() {
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const itimerspec when{{}, blocked_time};
  ::timerfd_settime(timer, 0, &when, nullptr);
  std::uint64_t times = 0;
  note("read", ::read(timer, &times, sizeof times) != sizeof times);
  ::close(timer);
}
[[gnu::noinline]] void in_futex() {
  std::uint32_t word = 0;
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &blocked_time, nullptr, 0);
  note("futex", errno != ETIMEDOUT);
}
[[gnu::noinline]] void in_flock() {
  char path[] = "/tmp/heddle-inside-XXXXXX";
  const int held = ::mkstemp(path);
  const int wanted = ::open(path, O_RDONLY | O_CLOEXEC);
  ::unlink(path);
  ::flock(held, LOCK_EX);
  std::thread lets_go([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(blocked_ms));
    ::flock(held, LOCK_UN);
  });
  note("flock", ::flock(wanted, LOCK_EX) != 0);
  lets_go.join();
  ::close(wanted);
  ::close(held);
}

h::task<> block_in_turns() {
  for (;;) {
    for (void (*call)() : {in_sleep, in_poll, in_read, in_futex, in_flock}) {
      call();
      co_await h::yield_now();
    }
  }
}

// ------------------------------------------------------------------- blamed

struct slow_callback {
  int ms;
  void operator()() const {
    compute(ms);
    stay();
  }
};
struct slow_done {
  int ms;
  void operator()() const {
    compute(ms);
    stay();
  }
};
h::task<> slow_strand(int ms) {
  compute(ms);
  co_return;
}
h::task<> ends_at_once() { co_return; }

h::task<> blamed_in_turns(int ms) {
  for (;;) {
    h::current_loop().call_soon(slow_callback{ms});
    co_await h::sleep(1ms);
    auto pair = h::fork_join(slow_strand(ms), slow_strand(ms));
    co_await std::move(pair);
    auto ended = h::create_task(ends_at_once());
    ended.add_done_callback(slow_done{ms});
    co_await ended;
    co_await h::sleep(1ms);
  }
}

// ------------------------------------------------------------------- rescued

// Its timers fall due while it computes. Another loop has to fire them, one after the other.
h::task<> leaves_timers(int count, int ms) {
  for (;;) {
    for (int i = 0; i < count; ++i) h::current_loop().call_later(20ms, [] {});
    compute(ms);
    co_await h::sleep(10ms);
  }
}

// ------------------------------------------------------------------- throws

[[gnu::noinline]] int throws_deep(int depth) {
  if (depth == 0) throw std::runtime_error("deep");
  const int n = throws_deep(depth - 1);
  stay();
  return n + 1;
}
[[gnu::noinline]] void throw_for(int ms) {
  const auto end = used_by_thread() + std::int64_t{ms} * 1'000'000;
  while (used_by_thread() < end) try {
      (void)throws_deep(20);
    } catch (const std::runtime_error&) {}
  stay();
}
h::task<> throw_in_turns(int ms) {
  for (;;) {
    throw_for(ms);
    co_await h::yield_now();
  }
}

h::task<> for_ever() {
  static auto* const never = new h::event;
  co_await never->wait();
}

}  // namespace

h::task<> computes(int ms) {
  keep("cruncher", import_all(ms));
  co_await for_ever();
}

h::task<> step_blocks(int) {
  keep("blocker", block_in_turns());
  co_await for_ever();
}

h::task<> blamed(int ms) {
  keep("blamed", blamed_in_turns(ms));
  co_await for_ever();
}

h::task<> needs_rescue(int count) {
  keep("hog", leaves_timers(count, 150));
  co_await for_ever();
}

h::task<> late_timers(int ms) {
  keep("hog", leaves_timers(10, ms));
  co_await for_ever();
}

h::task<> throws_much(int ms) {
  keep("thrower", throw_in_turns(ms));
  co_await for_ever();
}

}  // namespace inside
