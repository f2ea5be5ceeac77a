// SPDX-License-Identifier: MIT
// Internal to core.
// How recorded events stand in memory: what a program writes (sched/loop/trace_ring.h) and a reader
// from outside copies.
//
// A ring is a row of cells, of which the newest overwrite the oldest. The number of an event, from
// 0, gives its cell. A cell is two words: the time and the kind, and what the kind is about.
// Which copied events are whole is told by protocol OVERWRITE (trace_ring.h).
#pragma once

#include <cstdint>

namespace heddle::detail::seeing {

/// What happened. A number keeps its meaning for ever; a reader skips kinds that it does not know.
enum class trace_event : std::uint8_t {
  none = 0,
  ring_begins = 1,    // another thread has the ring from here on; what: its number in the system
  step_begins = 2,    // what: the task
  step_ends = 3,      // what: the function that was resumed
  strand_begins = 4,  // what: the task of the strand. It ends with step_ends
  callback_begins = 5,
  callback_ends = 6,
  born = 7,         // what: the task that was created. The next five follow it directly:
  born_at = 8,      //   its std::source_location
  born_runs = 9,    //   the function of its first frame
  born_by = 10,     //   the task that created it
  born_named = 11,  //   eight letters of its name, as often as needed
  woken = 12,       // what: the task that this thread has made ready
  ended = 13,       // what: the task; it had a value
  ended_error = 14,
  ended_cancelled = 15,
  came = 16,          // what: a task that a foreign thread has created
  parked = 17,        // the loop has slept until now; what: count_and_time, I/O events
  polled = 18,        // what: I/O events
  timers_fired = 19,  // what: how many
  stole = 20,         // what: count_and_time, tasks or strands, and the number of the loop
  rescued = 21,       // what: the number of the hogged loop
  woke_loop = 22,     // what: the number of the loop
  job_queued = 23,    // what: the address of the job
  job_begins = 24,
  job_ends = 25,
  span_begins = 26,  // what: the address of a name
  span_ends = 27,
  gap_begins = 28,  // steps are not recorded from here on, since that had cost too much
  gap_ends = 29,
  rate = 30,        // what: one task in so many is recorded from here on
  all_begins = 31,  // every step is recorded
  all_ends = 32,
  span_of = 34,  // what: the task that the next span event is about
  stalled = 33,  // a step has stood until now; what: count_and_time, the number of the loop
};

/// Two numbers in one word: a count or a loop of at most 24 bits, and nanoseconds (18 minutes).
constexpr std::uint64_t count_and_time(std::uint64_t count, std::uint64_t ns) noexcept {
  constexpr std::uint64_t most_count = (1u << 24) - 1;
  constexpr std::uint64_t most_ns = (std::uint64_t{1} << 40) - 1;
  return (count < most_count ? count : most_count) << 40 | (ns < most_ns ? ns : most_ns);
}
constexpr std::uint64_t count_in(std::uint64_t what) noexcept { return what >> 40; }
constexpr std::uint64_t time_in(std::uint64_t what) noexcept {
  return what & ((std::uint64_t{1} << 40) - 1);
}

// A task in one word. Records stand 32 bytes apart, in 47 bits of addresses. So 42 bits name the
// record, and 22 bits are left for the generation: one life of the record in four million.
inline constexpr unsigned trace_generation_bits = 22;
inline constexpr std::uint32_t trace_generation_mask = (1u << trace_generation_bits) - 1;
constexpr std::uint64_t trace_task(std::uint64_t record, std::uint32_t generation) noexcept {
  return record / 32 << trace_generation_bits | (generation & trace_generation_mask);
}
constexpr std::uint64_t record_of(std::uint64_t task) noexcept {
  return task >> trace_generation_bits << 5;
}
constexpr std::uint32_t generation_of(std::uint64_t task) noexcept {
  return static_cast<std::uint32_t>(task) & trace_generation_mask;
}

/// The kind stands in the low 8 bits of a cell's first word, the time above it: 56 bits of ticks,
/// which wrap after months. A reader knows the time of its look and counts backwards.
inline constexpr unsigned trace_time_shift = 8;

/// What ticks are.
enum class trace_clock : std::uint32_t {
  none,       // nothing was recorded yet
  monotonic,  // nanoseconds of CLOCK_MONOTONIC
  processor,  // the processor's counter, which runs evenly and is the same on all processors
};

/// The processor's counter; 0 where there is none that is known here.
inline std::uint64_t processor_ticks() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  return 0;
#endif
}

enum class ring_owner : std::uint32_t { loop, pool, other };

// As they stand in memory. The program's own types have atomics in their place.
struct trace_cell {
  std::uint64_t when;
  std::uint64_t what;
};
struct trace_ring_image {
  std::uint64_t next;     // the ring that was made before
  std::uint64_t cells;    // where they stand
  std::uint64_t mask;     // how many there are, a power of two, less one
  std::uint64_t head;     // so many events were written ever
  std::int32_t thread;    // the system's number; 0: nobody has the ring
  std::uint32_t owner;    // ring_owner
  std::uint64_t runtime;  // loops: the number of the runtime
  std::uint32_t loop;     // loops: the number in that runtime
  std::uint32_t reserved;
  std::uint64_t sampled;  // one task in so many; 0: none
};
static_assert(sizeof(trace_ring_image) == 64);
struct trace_root_image {
  static constexpr std::uint32_t known_version = 2;
  std::uint32_t version;
  std::uint32_t clock;  // trace_clock
  /// The one word that a tool may write: until then (CLOCK_MONOTONIC, ns) every loop records every
  /// step; 0 or a time that has passed: those of sampled tasks alone.
  std::int64_t all_until;
  std::uint64_t rings;       // the ring that was made last
  std::uint64_t base_ticks;  // what both clocks said as the first ring was made
  std::int64_t base_ns;
  // The same, a short while ago: how fast the counter runs, for the reader of a core, who has no
  // clock. 0: not known. From version 2 on.
  std::uint64_t seen_ticks;
  std::int64_t seen_ns;
};
static_assert(sizeof(trace_root_image) == 56);
inline constexpr std::uint32_t trace_root_bytes_of_1 = 40;  // of version 1

}  // namespace heddle::detail::seeing
