// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/trace_ring.h>

#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/core/seeing/layout.h>

#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <mutex>
#include <new>
#include <string_view>

namespace heddle::detail {

constinit trace_root tracing;

namespace {

using seeing::trace_clock;

constexpr std::uint64_t events_of_loops = 65536;  // 1 MiB
constexpr std::uint64_t events_of_others = 4096;  // 64 KiB
constexpr unsigned most_rings = 1024;
constexpr std::size_t head_bytes = 4096;  // the head has a page of its own
constexpr std::uint64_t usual_rate = 64;
constexpr std::uint64_t rarest = std::uint64_t{1} << 20;

std::uint64_t monotonic_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec);
}

/// The counter runs at one rate, whatever the processor's speed, and also while that sleeps.
bool processor_ticks_evenly() noexcept {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
#elif defined(__aarch64__)
  return true;
#else
  return false;
#endif
}

void begin_clock() {
  const bool evenly = processor_ticks_evenly();
  tracing.clock.store(evenly ? trace_clock::processor : trace_clock::monotonic, relaxed);
  tracing.base_ns.store(static_cast<std::int64_t>(monotonic_ns()), relaxed);
  tracing.base_ticks.store(trace_ticks(), relaxed);
}

trace_ring* make_ring(std::uint64_t capacity) noexcept {
  static atomic<unsigned> made{0};
  if (made.fetch_add(1, relaxed) >= most_rings) {
    made.fetch_sub(1, relaxed);
    return nullptr;
  }
  const auto bytes = head_bytes + capacity * sizeof(trace_ring::cell);
  // Pages that were never touched are 0, which is what fresh cells are; so none is touched now.
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* cells = reinterpret_cast<trace_ring::cell*>(static_cast<std::byte*>(memory) + head_bytes);
  return ::new (memory) trace_ring(cells, capacity);
}

constinit thread_local trace_ring* ring_here = nullptr;
// The thread is ending, or could get no ring: it does not try again.
constinit thread_local bool makes_no_ring = false;

// A key of the thread and no thread-local with a destructor: to register that may end the process
// when memory is short (core/base/thread_state.cpp).
pthread_key_t key_of_rings;
bool has_key = false;

void begin_once() {
  begin_clock();
  has_key = ::pthread_key_create(&key_of_rings, [](void* ring) {
              makes_no_ring = true;
              ring_here = nullptr;
              static_cast<trace_ring*>(ring)->let_go();
            }) == 0;
}

}  // namespace

std::uint64_t trace_ticks() noexcept {
  return tracing.clock.load(relaxed) == trace_clock::processor ? seeing::processor_ticks()
                                                               : monotonic_ns();
}

std::uint64_t trace_ticks_in_order() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
  return trace_ticks();
}

trace_rate wanted_trace_rate() noexcept {
  static const trace_rate wanted = [] {
    const char* said = std::getenv("HEDDLE_TRACE");
    std::uint64_t n = 0;
    if (!said || !parse_number(std::string_view(said), n, rarest))
      return trace_rate{notes_places ? usual_rate : 0, false};
    std::uint64_t power = n == 0 ? 0 : 1;  // rounded up, since the rate is a mask
    while (power < n) power *= 2;
    return trace_rate{power, true};
  }();
  return wanted;
}

trace_ring* trace_ring::claim(ring_owner whose) noexcept {
  if (wanted_trace_rate().one_in == 0) return nullptr;
  static std::once_flag begun;
  std::call_once(begun, begin_once);
  const std::uint64_t capacity = whose == ring_owner::loop ? events_of_loops : events_of_others;
  const int thread = ::gettid();
  trace_ring* ring = nullptr;
  // pairs with the exchange below
  for (auto* r = tracing.rings.load(acquire); r && !ring; r = r->next_) {
    int nobody = 0;
    // pairs with let_go(): the events of the thread before stand in front
    if (r->capacity() == capacity && r->thread_.load(relaxed) == 0 &&
        r->thread_.compare_exchange_strong(nobody, thread, acquire, relaxed))
      ring = r;
  }
  if (!ring) {
    ring = make_ring(capacity);
    if (!ring) return nullptr;
    ring->thread_.store(thread, relaxed);
    ring->next_ = tracing.rings.load(relaxed);
    // pairs with the load above, and with readers from outside
    while (!tracing.rings.compare_exchange_weak(ring->next_, ring, release, relaxed)) {}
  }
  ring->owner_.store(whose, relaxed);
  ring->is_of_loop(0, 0);
  ring->note(trace_event::ring_begins, static_cast<std::uint64_t>(thread));
  return ring;
}

void trace_ring::let_go() noexcept {
  // pairs with claim()
  thread_.store(0, release);
}

std::uint64_t trace_ring::copy(std::uint64_t from, seeing::trace_cell* to,
                               std::uint64_t& first) const noexcept {
  // pairs with put(): what is before it is whole
  const auto whole = head_.load(acquire);
  const auto all = capacity();
  if (whole > all && from < whole - all) from = whole - all;
  for (auto i = from; i < whole; ++i) {
    const cell& c = cells_[i & mask_];
    // pairs with put(): if event i + capacity stands here, the load of head_ below sees it
    to[i - from].when = c.when.load(acquire);
    // pairs with the same
    to[i - from].what = c.what.load(acquire);
  }
  const auto now = head_.load(relaxed);
  const auto safe = now >= all ? now - all + 1 : 0;
  first = from < safe ? (safe < whole ? safe : whole) : from;
  const auto skipped = first - from;
  if (skipped != 0)
    for (auto i = first; i < whole; ++i) to[i - first] = to[i - from];
  return whole - first;
}

seeing::trace_ring_image trace_ring::picture(seeing::trace_cell* to) const noexcept {
  std::uint64_t first = 0;
  seeing::trace_ring_image image{};
  image.next = reinterpret_cast<std::uintptr_t>(next_);
  image.cells = reinterpret_cast<std::uintptr_t>(cells_);
  image.mask = mask_;
  image.head = copy(0, to, first);
  image.thread = thread_.load(relaxed);
  image.owner = static_cast<std::uint32_t>(owner_.load(relaxed));
  image.runtime = runtime_.load(relaxed);
  image.loop = loop_.load(relaxed);
  image.sampled = sampled_.load(relaxed);
  return image;
}

trace_ring* ring_of_this_thread() noexcept { return ring_here; }
void set_ring_of_this_thread(trace_ring* r) noexcept { ring_here = r; }

trace_ring* make_ring_of_this_thread(ring_owner whose) noexcept {
  if (ring_here || makes_no_ring) return ring_here;
  auto* ring = trace_ring::claim(whose);
  if (ring && (!has_key || ::pthread_setspecific(key_of_rings, ring) != 0)) {
    ring->let_go();
    ring = nullptr;
  }
  makes_no_ring = ring == nullptr;
  return ring_here = ring;
}

void ring_note(trace_event kind, std::uint64_t what) noexcept {
  if (auto* r = ring_here) r->note(kind, what);
}

void note_trace_clocks() noexcept {
  if (tracing.clock.load(relaxed) == trace_clock::none) return;
  tracing.seen_ns.store(static_cast<std::int64_t>(monotonic_ns()), relaxed);
  tracing.seen_ticks.store(trace_ticks(), relaxed);
}

void note_stall(unsigned loop, std::uint64_t ns) noexcept {
  if (auto* ring = make_ring_of_this_thread(ring_owner::other))
    ring->note(trace_event::stalled, seeing::count_and_time(loop, ns));
}

template <>
struct layout_of<trace_ring> {
  using image = seeing::trace_ring_image;
  static_assert(offsetof(trace_ring, next_) == offsetof(image, next) &&
                offsetof(trace_ring, cells_) == offsetof(image, cells) &&
                offsetof(trace_ring, mask_) == offsetof(image, mask) &&
                offsetof(trace_ring, head_) == offsetof(image, head) &&
                offsetof(trace_ring, thread_) == offsetof(image, thread) &&
                offsetof(trace_ring, owner_) == offsetof(image, owner) &&
                offsetof(trace_ring, runtime_) == offsetof(image, runtime) &&
                offsetof(trace_ring, loop_) == offsetof(image, loop) &&
                offsetof(trace_ring, sampled_) == offsetof(image, sampled) &&
                sizeof(trace_ring) == sizeof(image));
  static_assert(sizeof(trace_ring::cell) == sizeof(seeing::trace_cell));
  using root = seeing::trace_root_image;
  static_assert(offsetof(trace_root, clock) == offsetof(root, clock) &&
                offsetof(trace_root, all_until) == offsetof(root, all_until) &&
                offsetof(trace_root, rings) == offsetof(root, rings) &&
                offsetof(trace_root, base_ticks) == offsetof(root, base_ticks) &&
                offsetof(trace_root, base_ns) == offsetof(root, base_ns) &&
                offsetof(trace_root, seen_ticks) == offsetof(root, seen_ticks) &&
                offsetof(trace_root, seen_ns) == offsetof(root, seen_ns) &&
                sizeof(trace_root) == sizeof(root));
};

namespace {
HEDDLE_ROW("heddle_roots") constexpr seeing::root_row tracing_root{"tracing", &tracing};
}  // namespace

}  // namespace heddle::detail
