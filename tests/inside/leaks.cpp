// SPDX-License-Identifier: MIT
// Programs that lose things.
#include "programs.h"

#include <heddle/core/future.h>
#include <heddle/sched/sleep.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>

#include <sys/mman.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace inside {

using namespace std::chrono_literals;

namespace {

h::event& never() {
  static auto* const e = new h::event;
  return *e;
}

h::task<> awaits(h::future<int> f) { (void)co_await f; }
h::task<> waits_in(h::event& e) { co_await e.wait(); }
h::task<> gets_from(h::queue<int>& q) { (void)co_await q.get(); }

/// What a program keeps: a promise on a heap block that something living points at.
struct holder {
  h::promise<int> promise;
  h::event event;
  std::unique_ptr<holder> next;
};
std::unique_ptr<holder>& held() {
  static std::unique_ptr<holder> first;
  return first;
}

/// On a stack of its own, so that no living frame has what is lost here. Volatile, so that what
/// stood in registers and on the stack is written over.
[[gnu::noinline]] void forget() {
  volatile unsigned char over[8192];
  for (auto& b : over) b = 0;
}
[[gnu::noinline]] void lose_a_promise() {
  auto* const lost = new h::promise<int>;
  keep("lost promise", awaits(lost->get_future()));
}
[[gnu::noinline]] void lose_an_event() { keep("lost event", waits_in(*new h::event)); }
[[gnu::noinline]] void lose_a_queue() { keep("lost queue", gets_from(*new h::queue<int>(2))); }

h::task<> waits_in_its_own() {
  h::event own;
  co_await own.wait();
}

/// Maps memory directly in front of the arena of glibc that `block` is from, if it is from one. The
/// system shows both as one mapping then, as it does by itself where two happen to be neighbours.
void map_in_front_of_arena_of(const void* block) {
  constexpr std::uintptr_t arena_bytes = std::uintptr_t{64} << 20, bytes = 65536;
  const auto arena = reinterpret_cast<std::uintptr_t>(block) / arena_bytes * arena_bytes;
  if (arena == 0) return;
  (void)mmap(reinterpret_cast<void*>(arena - bytes), bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

/// Each waits in what only the frame of the other has.
struct meeting {
  h::event* of_first = nullptr;
  h::event* of_second = nullptr;
};
h::task<> first_of_two(std::shared_ptr<meeting> m, h::event& ready) {
  h::event own;
  map_in_front_of_arena_of(&own);
  m->of_first = &own;
  ready.set();
  while (!m->of_second) co_await h::yield_now();
  auto* const other = m->of_second;
  m.reset();
  co_await other->wait();
}
h::task<> second_of_two(std::shared_ptr<meeting> m, h::event& ready) {
  h::event own;
  co_await ready.wait();
  map_in_front_of_arena_of(&own);
  auto* const other = m->of_first;
  m->of_second = &own;
  m.reset();
  co_await other->wait();
}

h::task<> fails() {
  co_await h::yield_now();
  throw std::runtime_error("nobody asks");
}
h::task<> ends() { co_await h::yield_now(); }

}  // namespace

h::task<> leaks(int) {
  lose_a_promise();
  lose_an_event();
  lose_a_queue();
  forget();
  keep("own event", waits_in_its_own());
  co_await never().wait();
}

h::task<> islands(int) {
  static h::event ready;
  auto m = std::make_shared<meeting>();
  keep("first of two", first_of_two(m, ready));
  keep("second of two", second_of_two(m, ready));
  m.reset();
  co_await never().wait();
}

h::task<> no_leaks(int) {
  static h::event in_static;
  h::event in_frame;
  held() = std::make_unique<holder>();
  held()->next = std::make_unique<holder>();
  auto& deep = *held()->next;
  keep("by the heap", awaits(deep.promise.get_future()));
  keep("by the heap too", waits_in(deep.event));
  keep("by a variable", waits_in(in_static));
  keep("by a frame", waits_in(in_frame));
  keep("by a timer", [](h::event&) -> h::task<> { co_await h::sleep(1h); }(in_frame));
  co_await never().wait();
}

h::task<> grows(int) {
  for (;;) {
    for (int i = 0; i < 10; ++i) kept().push_back(h::create_task(waits_in(never())));
    co_await h::sleep(10ms);
  }
}

namespace {

h::task<> nobody_awaits() { co_await never().wait(); }
void use(void* bytes) { asm volatile("" : : "r"(bytes) : "memory"); }
h::task<> large_frame() {
  char room[4096] = {};
  use(room);
  co_await never().wait();
  use(room);
}

}  // namespace

h::task<> large_frames(int n) {
  for (int i = 0; i < n; ++i) keep("large", large_frame());
  co_await never().wait();
}

h::task<> kept_tasks(int n) {
  static std::vector<h::task<>> never_awaited;
  for (int i = 0; i < n; ++i) never_awaited.push_back(nobody_awaits());
  for (int i = 0; i < n; ++i) {
    kept().push_back(h::create_task(ends()));
    kept().push_back(h::create_task(fails()));
  }
  keep("all are made", waits_in(never()));
  co_await never().wait();
}

}  // namespace inside
