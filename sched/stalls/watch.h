// SPDX-License-Identifier: MIT
// Internal to sched.
// The watch over stalls: one thread a process, which notices a loop that is kept by one step.
//
// Problem   A step that computes or blocks for long stops its loop, and if each loop has one, the
//           whole program. Nobody is left who could tell.
// Rejected  A look at the clock in each step: it costs more than a short step. Other loops as
//           watchers alone (search.cpp): they may all be kept. A timer's signal to each loop: it
//           cuts system calls short.
// Chosen    A thread looks at all loops every 20 ms, by counts that they keep anyhow: a loop that
//           is awake and whose count of steps stands is looked at more often. When the step has
//           used more than the limit (judge.h) the thread is asked for its stack (stack_sample.h)
//           or, if it sleeps, for its system call. The stall goes into the ledger and is told.
// Cost      While loops have work: 50 looks a second, some microseconds each. While all are parked
//           the watch sleeps too (WATCH-BELL). Nothing for a step.
//
// Who may touch what: all of it is under lock_. What is told to the user is told with no lock held,
// and the runtime is kept by a guest meanwhile.
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/stalls/describe.h>
#include <heddle/sched/stalls/judge.h>

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace heddle::detail {

/// How a runtime is watched.
struct watch_options {
  duration limit{};          // zero or less: not at all
  int signal = 0;            // by which stacks are taken; 0: by none
  bool has_handler = false;  // which is told all, where stderr gets a few lines a minute
};

/// Lines that may go to stderr: so many a minute.
class line_budget {
 public:
  static constexpr std::size_t lines = 5;
  static constexpr duration per = std::chrono::minutes(1);

  /// False: not now; it is counted.
  [[nodiscard]] bool take(duration now) noexcept {
    if (used_ == lines && now - at_[next_] < per) {
      ++held_back_;
      return false;
    }
    at_[next_] = now;
    next_ = (next_ + 1) % lines;
    if (used_ < lines) ++used_;
    return true;
  }
  /// How many were held back since this was asked last.
  [[nodiscard]] std::uint64_t held_back() noexcept { return std::exchange(held_back_, 0); }

 private:
  duration at_[lines] = {};
  std::size_t next_ = 0;
  std::size_t used_ = 0;
  std::uint64_t held_back_ = 0;
};

class stall_watch {
 public:
  constexpr stall_watch() noexcept = default;

  /// The loops of `g` run. Without memory, or without a thread to be had, they are not watched.
  void add(loop_group& g, const watch_options& how) noexcept;
  void change_limit(loop_group& g, duration limit) noexcept;
  /// No look at `g` begins any more, and none goes on. The last one ends the thread.
  void remove(loop_group& g) noexcept;
  /// Calls `f(context)` while the ledger stands still.
  void with_ledger(void (*f)(void*), void* context) noexcept;

 private:
  static constexpr std::size_t none = ~std::size_t{0};
  struct loop_state {
    worker* loop;
    stall_judge judge;
    std::size_t entry = none;  // of the ledger, while it is kept
    unsigned tries = 0;        // to take its stack
    bool sleeps = false;       // its thread, when the system was asked last
    bool is_told = false;
  };
  struct watched {
    loop_group* group;
    watch_options how;
    std::vector<loop_state> loops;
  };
  /// Something to tell, once no lock is held. `group` has a guest more until then.
  struct news {
    loop_group* group;
    worker* loop;
    seeing::stall_entry entry;
    bool over;
    stall_text text;
  };

  static void* run_thread(void* self) noexcept;
  void run() noexcept;
  void adapt() noexcept;
  void let_go(watched& w) noexcept;
  void start() noexcept;
  void end() noexcept;
  [[nodiscard]] bool wait() noexcept;
  void sleep() noexcept;
  [[nodiscard]] bool all_parked() noexcept;
  void look(duration now) noexcept;
  void look_at(watched& w, loop_state& l, duration gap, duration now) noexcept;
  void begins(watched& w, loop_state& l, duration now) noexcept;
  void ends(watched& w, loop_state& l, duration now) noexcept;
  [[nodiscard]] bool note(watched& w, loop_state& l, bool over, duration now) noexcept;
  void tell() noexcept;

  static constexpr std::size_t most_news = 4;  // at one look; more stalls begin at the next one

  std::mutex change_lock_;  // over the beginning and the end of the thread
  std::mutex lock_;         // guards all below
  std::vector<watched> all_;
  pthread_t thread_{};
  bool runs_ = false;
  duration last_look_{};
  duration nap_{};
  unsigned quiet_looks_ = 0;
  bool saw_standing_ = false;  // at this look: a loop in the step of the last look
  bool saw_moving_ = false;    // a loop that is awake, or has run a step since
  line_budget stderr_budget_;
  std::size_t news_count_ = 0;
  news news_[most_news] = {};
};

/// The one of the process. It is never destroyed.
[[nodiscard]] stall_watch& watch_of_process() noexcept;

}  // namespace heddle::detail
