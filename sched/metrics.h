// SPDX-License-Identifier: MIT
// metrics: figures of a runtime for whoever watches a program: what its loops, its tasks and its
// threads have done, and how long steps and waits took. process_metrics: figures of the process.
//
//   const h::metrics m = h::current_runtime().metrics();
//   m.tasks.alive;                               // tasks that have not ended
//   m.loops[0].step.percentile(0.99);            // how long a step of loop 0 takes
//   h::measure_process().resident_bytes;
//
// io/http/inspector.h shows them as text for Prometheus, and on a page.
//
// Counters only grow as long as the runtime lives. A reader sees each number whole, but not all
// numbers of one instant.
//
// Times are samples, taken where a loop counts its steps anyhow: a step that is not sampled pays
// nothing. One step in 61 is timed, one timer in 64, and one job in 64. In a simulation nothing is
// sampled, since its time is virtual.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/sched/duration_histogram.h>
#include <heddle/sched/loop.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace heddle {

/// What one loop did. The order of the fields is API: fields are appended, never reordered.
struct loop_metrics {
  loop_stats stats;
  /// Timers that were due and have fired.
  std::uint64_t timers_fired = 0;
  /// How long a step of a task, a strand or a callback takes: until its loop is free again.
  duration_histogram step = {};
  /// How long what is ready waits for its loop. It begins at the end of the step, or in the look at
  /// reactor, timers and inboxes, in which it became ready. A task that another loop has stolen is
  /// not counted.
  duration_histogram schedule_latency = {};
  /// How long behind its deadline a timer fires. What it wakes then waits for its loop.
  duration_histogram timer_lag = {};
};

/// What the threads behind to_thread did. The order of the fields is API.
struct pool_metrics {
  unsigned threads = 0;       // alive now
  unsigned most_threads = 0;  // options.threads
  std::uint64_t jobs = 0;     // given so far
  std::uint64_t queued = 0;   // given, and taken by no thread yet
  /// How long a job waits for its thread.
  duration_histogram wait = {};
};

/// The tasks of a runtime. Strands are part of a task, and are not counted. The order of the fields
/// is API.
struct task_metrics {
  std::uint64_t alive = 0;
  std::uint64_t made = 0;
  std::uint64_t ended = 0;      // in whatever way
  std::uint64_t cancelled = 0;  // of these: with a cancellation
  std::uint64_t failed = 0;     // of these: with an error
};

/// The figures of one runtime: runtime::metrics(). The order of the fields is API.
struct metrics {
  std::uint64_t runtime = 0;  // a number that no other runtime of the process has, now or later
  std::string reactor = {};   // "epoll" or "io_uring"
  std::vector<loop_metrics> loops = {};
  task_metrics tasks = {};
  pool_metrics pool = {};

  /// The histograms of all loops together.
  [[nodiscard]] duration_histogram step() const;
  [[nodiscard]] duration_histogram schedule_latency() const;
  [[nodiscard]] duration_histogram timer_lag() const;
};

/// The figures of all runtimes of the process that live now, in the order of their numbers. From
/// any thread. Throws std::bad_alloc.
[[nodiscard]] std::vector<metrics> measure_runtimes();

/// Figures of the whole process, as the system tells them; 0: it does not. The order of the fields
/// is API.
struct process_metrics {
  double cpu_seconds = 0;    // of all threads, in user and in system mode
  double start_seconds = 0;  // since 1970
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t threads = 0;
  std::uint64_t open_descriptors = 0;
  std::uint64_t most_descriptors = 0;  // RLIMIT_NOFILE
};

/// Reads /proc/self.
/// Cost      some 30 us, and a few hundred ns for each open descriptor: not for a loop that has
///           clients waiting and a hundred thousand connections
/// Throws    std::bad_alloc
/// Thread-safety  any thread
[[nodiscard]] process_metrics measure_process();

}  // namespace heddle
