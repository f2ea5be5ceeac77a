// SPDX-License-Identifier: MIT
// Internal to sched.
// The world of a simulated program: virtual threads, virtual time, and chance from a seed. Not a
// public header; simulate.h is.
//
// Problem   A race that shows once in a million runs shows never under a debugger. Tests that sleep
//           to provoke it are slow and lie.
// Rejected  A second, simple scheduler for tests: it would test itself. Real threads made to take
//           turns: a switch costs 10 us, and the machine still decides when they block.
// Chosen    The real scheduler, whose loops are fibers on one OS thread. Where the library blocks,
//           spins, asks for the time, or could be overtaken at a point that matters (world.h), it
//           asks the simulation. The seed decides which thread runs next. Compiled over simulated
//           atomics (core/base/atomic.h), every atomic operation is such a point.
// Promised  The same seed, options, program and build make the same steps. Time passes only when
//           nobody can run, or a little with each step.
// Today     Sequentially consistent: each thread sees all that was written. Weaker orders are the
//           business of a model checker.
#pragma once

#include <heddle/core/base/random.h>
#include <heddle/core/base/thread_state.h>
#include <heddle/core/simulated/world.h>
#include <heddle/sched/loop/driver.h>
#include <heddle/sched/simulation/fiber.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heddle::detail {

class simulation final : public world {
 public:
  /// Gives up (stuck_error, livelock_error) after `most_steps`. `trace`: keeps a line for each
  /// event.
  simulation(std::uint64_t seed, std::uint64_t most_steps, bool trace);
  ~simulation();

  /// The one whose virtual thread the caller is, or nullptr.
  static simulation* here() noexcept { return static_cast<simulation*>(this_world()); }

  /// Calls `main` on the first virtual thread, and returns when all virtual threads have ended;
  /// from outside, once. Throws what `main` throws, or why the program was given up. False of
  /// `ended()`: it could not even be torn down, and its threads' stacks lie in this object, which
  /// must not be destroyed.
  void run(const std::function<void()>& main);
  [[nodiscard]] bool ended() const noexcept { return !abandoned_; }

  // --- world ---
  time_point now() noexcept override;
  void point() noexcept override;
  bool atomic_point() noexcept override;
  void pass() noexcept override;
  bool block(bool (*ready)(void*), void* argument, time_point deadline, when_stuck then) override;
  bool stands_back() noexcept override;
  std::uint64_t number_of(const task_record& t) noexcept override;

  // --- threads ---
  std::size_t start(std::string name, std::function<void()> f);
  [[nodiscard]] bool has_ended(std::size_t thread) const noexcept;
  void join(std::size_t thread);
  /// Stands in for a reactor: waits, wakes up, and knows of no I/O.
  owned<driver> make_driver();

  // --- chance ---
  std::uint32_t below(std::uint32_t bound) noexcept { return random_.below(bound); }
  std::uint64_t draw() noexcept { return random_.next(); }
  [[nodiscard]] std::size_t running_thread() const noexcept { return running_; }

  /// While one lives nobody overtakes the caller. Null: nothing.
  class calm {
   public:
    explicit calm(simulation* s) noexcept : s_(s) {
      if (s_) ++s_->calm_;
    }
    calm(const calm&) = delete;
    ~calm() {
      if (s_) --s_->calm_;
    }

   private:
    simulation* s_;
  };

  // --- what is told of it ---
  void note(const char* what, const task_record* t) noexcept;
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] std::uint64_t switches() const noexcept { return switches_; }
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  [[nodiscard]] std::string take_trace() noexcept { return std::move(trace_); }
  [[nodiscard]] duration elapsed() const noexcept;

 private:
  struct virtual_thread;
  static constexpr std::size_t nobody = ~std::size_t{0};

  static void enter(void* self) noexcept;
  [[nodiscard]] bool can_run(virtual_thread& t) noexcept;
  [[nodiscard]] std::size_t choose(std::size_t but) noexcept;
  void switch_to(std::size_t next) noexcept;
  void switch_away(fiber& from, thread_role& role, bool for_good) noexcept;
  void run_another(bool passes) noexcept;
  /// A task of this world: number_of() was called for it.
  [[nodiscard]] bool has_numbered(const task_record& t) const noexcept;
  [[nodiscard]] bool give_up(bool stuck) noexcept;
  [[nodiscard]] std::string report(bool stuck);
  void mix(std::uint64_t x) noexcept;

  const std::uint64_t seed_;
  random_source random_;
  std::uint64_t most_steps_;
  const std::uint64_t more_steps_;
  const bool traces_;
  std::uint32_t stays_;  // at a point another one is chosen with a chance of one in so many
  std::uint32_t stays_in_atomics_;

  fiber outside_;
  thread_role outside_role_;
  std::vector<std::unique_ptr<virtual_thread>> threads_;
  std::vector<std::size_t> alive_;
  std::vector<std::size_t> candidates_;
  std::vector<std::size_t> ended_;  // whose stacks are not yet given back
  std::size_t running_ = nobody;
  std::size_t recorded_ = nobody;
  unsigned calm_ =
      0;  // not 0: the world itself looks at something, or somebody must not be overtaken
  bool told_ = false;
  bool abandoned_ = false;
  std::exception_ptr error_;

  time_point now_;
  std::uint64_t steps_ = 0;
  std::uint64_t switches_ = 0;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
  std::string trace_;
  struct known {
    std::uint32_t generation;
    std::uint64_t number;
  };
  std::unordered_map<const task_record*, known> numbers_;
  std::uint64_t last_number_ = 0;
};

/// Stands in for a queue that many push to and many take from: FIFO for each producer, and chance
/// decides whose oldest comes next.
class simulated_queue {
 public:
  void push(simulation& s, task_record& t) { items_.push_back({s.running_thread(), &t}); }
  task_record* pop(simulation& s) noexcept;

 private:
  struct item {
    std::size_t producer;
    task_record* task;
  };
  std::vector<item> items_;
};

}  // namespace heddle::detail
