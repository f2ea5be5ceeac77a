// SPDX-License-Identifier: MIT
// Deterministic simulation for tests: runs a whole program on one thread, under a virtual clock. A
// seed draws every choice of the scheduler, so a failure can be repeated.
//
//   const auto report = h::testing::simulate(42, {.loops = 3}, [] { return fetch("a"); });
//
//   const auto found = h::testing::explore(1, 20, {.loops = 2}, [] { return fetch("a"); });
//   if (found) std::cerr << "seed " << found->seed << ": " << found->what << "\n";
//
// The real scheduler runs, not a model of it. Its loops are fibers. The seed decides which loop
// goes on where one could overtake another, and from which loop a searcher steals. It also decides
// in what order equal timers of different loops fire, and when a ready task is made to yield. A
// sleep of an hour returns at once. A program in which nothing can ever happen again fails with a
// list of what each task waits for.
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
  /// After so many steps livelock_error is thrown. A step is a point at which another virtual
  /// thread could have overtaken.
  std::uint64_t steps = 1'000'000;
  /// Keeps a line of text for each event.
  bool trace = false;
};

/// What a simulation did.
struct simulation_report {
  std::uint64_t hash = 0;      // of the trace: equal for equal runs
  std::uint64_t steps = 0;     // points at which another virtual thread could have overtaken
  std::uint64_t switches = 0;  // points at which one did
  duration elapsed{};          // virtual time
  std::string trace;           // if asked for, a line for each event: time, thread, what, task
};

/// Calls `program` on a virtual thread. Every runtime that it makes is simulated, on the same
/// virtual clock. Its jobs for to_thread are virtual threads too. Returns when `program` and all
/// virtual threads have ended.
///
/// The same seed, program and build make the same steps, as long as the program takes time, chance
/// and addresses from nowhere else.
///
/// Not simulated: I/O (usage_error inside a simulated task), the threads of to_arena, and the locks
/// of the standard library. If the program holds a std::mutex while another virtual thread runs and
/// wants that mutex too, it blocks for ever.
/// Cost      some 100 us for the runtime, and some 50 ns for each step
/// Throws    what `program` throws; usage_error inside a simulation or a running loop. stuck_error
///           and livelock_error are thrown where `program` waits (in run, or in a future's get). So
///           the runtime is shut down in the ordinary way, by cancelling. If even that has no end,
///           what was simulated is given up as it is, and its memory is lost.
/// Thread-safety  several threads may each have a simulation of their own; real runtimes may run
///                beside them
simulation_report simulate_program(std::uint64_t seed, const std::function<void()>& program,
                                   const simulation_limits& limits = {});

/// Runs `main`, a task or a callable that makes one, on a simulated runtime with these options, as
/// heddle::run does. For `options.loops` 0 means 2, for `options.threads` 0 means 4;
/// `options.reactor` is ignored. All else as simulate_program.
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

/// A seed with which a program fails, and the failure.
struct failing_seed {
  std::uint64_t seed = 0;
  std::string what;
  std::exception_ptr error;
};

/// Calls `once` with `count` seeds, from `first` on. Returns the first seed with which it throws,
/// or nothing.
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

/// A foreign thread of a simulated program, to submit, cancel and set from outside. Throws
/// usage_error outside of a simulation.
class virtual_thread {
 public:
  explicit virtual_thread(std::function<void()> f);
  virtual_thread(const virtual_thread&) = delete;
  /// Joins. What `f` throws is thrown by simulate.
  ~virtual_thread();

 private:
  std::size_t thread_;
};

/// Lets another virtual thread run here, if the seed says so. For primitives and jobs of the user's
/// own. Does nothing outside of a simulation. The caller must hold no lock that blocks a thread.
void overtaking_point() noexcept;
/// A number below `bound` (which is not 0), drawn from the seed. Outside of a simulation 0.
std::uint32_t choose(std::uint32_t bound) noexcept;
/// Blocks the calling virtual thread (a job of to_thread, a virtual_thread, the program's own) for
/// `d` of virtual time. Blocks a real thread for real time. Throws usage_error on a loop.
void block_for(any_duration d);

}  // namespace heddle::testing
