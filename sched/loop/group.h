// SPDX-License-Identifier: MIT
// Internal to sched.
// What the loops of one runtime share: all that a loop knows of its runtime. Not a public header.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/runtime_number.h>
#include <heddle/core/clock.h>
#include <heddle/sched/loop/idle.h>
#include <heddle/sched/loop/shared_queue.h>
#include <heddle/sched/loop/thread_signals.h>
#include <heddle/sched/simulation/simulation.h>

#include <cstdint>
#include <exception>
#include <vector>

namespace heddle::detail {

class worker;

/// What the watch over stalls tells of one.
struct kept_report {
  worker* loop;
  const char* message;  // for people
  const char* task;     // the name of the task; empty: it has none, or no task ran
  duration lasted;      // so far
  bool is_over;
};

/// The loops of a runtime and what they have in common. The runtime derives from it
/// (runtime_state.h).
///
/// The loops read the members directly. The virtual functions are for what a loop tells its
/// runtime; none of them is called on a fast path.
//
// Who may touch what:
//   serial, id, workers        written before the first loop starts; then any thread reads them
//   next_living                under the registry's lock
//   idle, injection, watchers  the loops, and foreign threads with a task for them; atomically
//   loops_end                  set by the thread that ends the runtime; the loops read it
//   guests                     any thread during whose call the runtime must not go: see guest
//   foreign_created            foreign threads add, the thread that ends the runtime reads
//   looks_at_rest              the maker; then whoever has told that all is at rest lowers it
//   look_is_arranged           a loop that falls asleep raises it, and lowers it when it wakes
//   steps_at_look              the loops, relaxed: a hint, which costs a look more or less
class loop_group {
 public:
  /// While one lives the runtime is not torn down. A foreign thread holds one from before its push
  /// to after its wake-up. Without it the pushed task could run, end, and be the last, before the
  /// wake-up is made.
  class guest {
   public:
    explicit guest(loop_group& g) noexcept : group_(&g) { g.guests.fetch_add(1, seq_cst); }
    guest(const guest&) = delete;
    ~guest() { group_->guests.fetch_sub(1, seq_cst); }

   private:
    loop_group* group_;
  };

  loop_group(const loop_group&) = delete;

  /// In debug mode: a step of task `t` took longer than `slow_after`.
  virtual void step_was_slow(task_record& t, duration took) noexcept = 0;
  /// The same of a callback.
  virtual void callback_was_slow(callback& c, duration took) noexcept = 0;
  /// What `c` threw, in the context in which it ran.
  virtual void callback_threw(callback& c, std::exception_ptr error) noexcept = 0;
  /// A step keeps a loop for longer than it should, or has kept it (sched/stalls/). Called by the
  /// watch's thread, which keeps the runtime meanwhile.
  virtual void loop_was_kept(const kept_report& what) noexcept = 0;
  /// `t` has ended, and a thread counts on being told: task_record::end_is_counted.
  virtual void awaited_end(task_record& t) noexcept = 0;
  /// All loops have slept for rest_after, and none has a timer. Called by a loop.
  virtual void came_to_rest() noexcept = 0;
  /// Some loop has run a step since note_look().
  [[nodiscard]] bool has_stepped_since_look() const noexcept;
  /// Tasks live. A hint.
  [[nodiscard]] bool has_tasks() const noexcept;
  void note_look() noexcept;
  void look_again() noexcept { steps_at_look.store(~std::uint64_t{0}, relaxed); }

  const thread_signals signals;  // that the threads of the loops take
  simulation* const simulated;   // whose virtual threads the loops are, or nullptr
  const duration slow_after;     // options.slow_callback
  runtime_number serial = 0;     // the runtime's name among all there ever were
  std::uint16_t id = 0;          // the short form, its name among the living: in records
  std::vector<worker*> workers;
  loop_group* next_living = nullptr;  // the registry's list, for readers from outside
  idle_set idle;
  shared_queue injection;  // tasks from foreign threads, for whichever loop is free
  atomic<unsigned> watchers{0};
  atomic<bool> loops_end{false};  // loops leave when they have nothing to do
  atomic<std::uint32_t> guests{0};
  atomic<std::uint64_t> foreign_created{0};
  atomic<bool> looks_at_rest{false};           // came_to_rest() is called
  atomic<bool> look_is_arranged{false};        // a loop sleeps until it looks
  atomic<std::uint64_t> steps_at_look{~0ull};  // of all loops

 protected:
  loop_group(simulation* s, unsigned loops, duration slow)
      : simulated(s), slow_after(slow), idle(loops), injection(s) {}
  ~loop_group() = default;
};

}  // namespace heddle::detail
