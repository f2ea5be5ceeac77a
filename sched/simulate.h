// SPDX-License-Identifier: MIT
// Deterministic simulation: a whole program on one thread, under a virtual clock, every choice of
// the scheduler drawn from a seed.
//
//   auto r = heddle::testing::simulate(42, {.loops = 3}, [] { return my_program(); });
//
//   auto found = heddle::testing::explore(1, 10'000, {.loops = 2}, [] { return my_race(); });
//   if (found) std::cerr << "seed " << found->seed << ": " << found->what << "\n";
//
// The real scheduler runs, not a model of it: its loops are fibers, and the seed decides which of
// them goes on whenever one could overtake another, whom a searcher robs, in what order equal
// timers of different loops fire, and when a ready task is made to stand back. A sleep of an hour
// returns at once. A program in which nothing can ever happen again fails, and says who waits for
// what.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/sched/options.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/simulation/errors.h>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace heddle::testing {

/// How far a simulation goes. The order of the fields is API.
struct simulation_limits {
  /// At most so many points at which somebody could have overtaken; then livelock_error.
  std::uint64_t steps = 1'000'000;
  /// Keeps a line for each event.
  bool trace = false;
};

/// What a simulation did.
struct simulation_report {
  std::uint64_t hash = 0;      // of the trace: equal for equal runs
  std::uint64_t steps = 0;     // points at which somebody could have overtaken
  std::uint64_t switches = 0;  // times that somebody did
  duration elapsed{};          // of virtual time
  std::string trace;           // a line an event: time, thread, what, task; if it was asked for
};

/// Calls `program` on a virtual thread. Every runtime that it makes is simulated, on the same
/// virtual clock, and its jobs for to_thread are virtual threads too. Returns when `program` and
/// all virtual threads have ended.
///
/// The same seed, program and build make the same steps, as long as the program asks nobody else
/// for time, chance or addresses. Throws what `program` throws; stuck_error, livelock_error: thrown
/// where `program` waits (in run, or a future's get), so that the runtime is torn down in the
/// ordinary way, by cancelling; if even that has no end, what was simulated is left as it stands,
/// and its memory is lost. usage_error inside a simulation or a running loop. Thread-safety:
/// several threads may each have a simulation of their own; real runtimes may run beside them.
/// Cost: some 100 us for the runtime, and some 50 ns for each step. Not simulated: I/O (usage_error
/// inside a simulated task), to_arena's own threads, and what the standard library blocks on: a
/// mutex of the program's, held across a point at which another virtual thread runs and wants it
/// too, blocks for ever.
simulation_report simulate_program(std::uint64_t seed, const std::function<void()>& program,
                                   const simulation_limits& limits = {});

/// Runs `main`, a task or a callable that makes one, on a simulated runtime with these options, as
/// heddle::run does. `options.loops`: 0 means 2; `options.threads`: 0 means 4; `options.reactor` is
/// ignored. The rest as simulate_program.
template <class Main>
  requires std::invocable<Main&>
simulation_report simulate(std::uint64_t seed, const options& o, Main main,
                           const simulation_limits& limits = {}) {
  return simulate_program(
      seed,
      [&] {
        runtime r(o);
        if constexpr (std::is_void_v<decltype(r.run(main()))>)
          r.run(main());
        else
          (void)r.run(main());
      },
      limits);
}
template <class T>
simulation_report simulate(std::uint64_t seed, const options& o, task<T> main,
                           const simulation_limits& limits = {}) {
  return simulate(seed, o, [&main] { return std::move(main); }, limits);
}

/// A seed that fails, and why.
struct failing_seed {
  std::uint64_t seed = 0;
  std::string what;
  std::exception_ptr error;
};

/// `once` with `count` seeds from `first` on; the first with which it throws, or nothing.
std::optional<failing_seed> first_failing(std::uint64_t first, std::uint64_t count,
                                          const std::function<void(std::uint64_t)>& once);

/// Simulates `main` with `count` seeds from `first` on; returns the first that throws, or nothing.
template <class Main>
  requires std::invocable<Main&>
std::optional<failing_seed> explore(std::uint64_t first, std::uint64_t count, const options& o,
                                    Main main, const simulation_limits& limits = {}) {
  return first_failing(
      first, count, [&](std::uint64_t seed) { (void)simulate(seed, o, std::ref(main), limits); });
}

/// A foreign thread of a simulated program: for those that submit, cancel and set from outside.
/// Inside a simulation only (usage_error).
class virtual_thread {
 public:
  explicit virtual_thread(std::function<void()> f);
  virtual_thread(const virtual_thread&) = delete;
  /// Joins. What `f` throws is thrown by simulate.
  ~virtual_thread();

 private:
  std::size_t thread_;
};

/// Another virtual thread may run here. For primitives and jobs of one's own; nothing outside of a
/// simulation. The caller holds no lock that blocks a thread.
void overtaking_point() noexcept;
/// A number below `bound` (not 0), drawn from the seed; outside of a simulation 0.
std::uint32_t choose(std::uint32_t bound) noexcept;
/// Blocks the calling virtual thread (a job of to_thread, a virtual_thread, the program's own) for
/// `d` of virtual time; a real thread for real. Throws usage_error on a loop.
void block_for(any_duration d);

}  // namespace heddle::testing
