// SPDX-License-Identifier: MIT
// Internal to sched.
// The threads behind to_thread: made on demand, up to a cap; they end when idle for long. Not a
// public header.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/clock.h>
#include <heddle/sched/metrics.h>
#include <heddle/sched/runtime/offload.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace heddle::detail {

struct pool_seat;

class simulation;

// Protocol POOL. A thread runs a job, looks for one, or sleeps. `looking` counts the threads that
// look: those that spin, and those on their way since they were woken or started. Everything that
// decides happens under one spin lock:
//   submit   The job goes into the queue (FIFO). If no thread looks, one is sent: the sleeper that
//            slept last, or a new thread if the cap allows one.
//   take     The thread that takes a job is no longer counted. If more jobs are queued and no
//            thread looks, one is sent before the job is run.
//   sleep    The queue is empty. The thread is no longer counted, and stands among the sleepers.
// So while jobs are queued a thread looks, or all threads that the cap allows run jobs. No job
// waits behind one that blocks while the cap allows another thread. 64 jobs at once do not wake 64
// threads at once: threads are woken one after the other, as long as those awake do not keep up.
//
// A thread that ends a job counts as looking before the waiting task hears of it, unless another
// thread looks or jobs are queued. So a task that gives one job after the other always has the same
// thread, in its spin. At most one thread spins, for 20 us, as long as that has paid lately. A
// process in which nothing happens uses no CPU. A thread that has slept for long takes itself off
// the sleepers: nothing was promised to it.
//
// A thread that is being made counts as looking, and making it may fail. Jobs that came meanwhile
// have sent no thread. So the thread that failed to make it sends a sleeper in its place. Without a
// sleeper the next thread that ends a job takes them. Without any thread they fail with the error.
// A sleeper that would end looks at the queue once more.
class thread_pool {
 public:
  /// At most `most` threads; the arena of to_arena jobs has `arena_slots` slots. A thread ends when
  /// it had nothing to do for `idle`. `niceness` is added to that of the calling thread.
  thread_pool(unsigned most, unsigned arena_slots, duration idle = std::chrono::seconds(10),
              unsigned niceness = 0);
  ~thread_pool();

  /// Runs `j` on some thread and takes over its thread's reference. Throws usage_error after
  /// shutdown, std::system_error or std::bad_alloc if the first thread cannot be made; then the
  /// reference is still the caller's. If the only thread ends while another one cannot be made, the
  /// job is refused with that error.
  void submit(offload_job& j);
  /// No new jobs; waits for all that were given, at most until `limit`. Again is harmless. False:
  /// some did not end in time; their threads are on their own from now on, and a later shutdown
  /// does not wait for them.
  bool shutdown(time_point limit = time_point::max()) noexcept;
  /// The same by a thread of its own, which then calls `done`.
  void shutdown_beside(time_point limit, std::function<void(bool)> done);
  [[nodiscard]] unsigned threads() const noexcept;
  /// From any thread. Throws std::bad_alloc.
  [[nodiscard]] pool_metrics measured() const;
  /// A job is queued or runs.
  [[nodiscard]] bool is_busy() const noexcept;
  /// The calling thread runs a job of this pool, so that its shutdown would wait for itself.
  [[nodiscard]] bool is_in_own_job() const noexcept;

 private:
  struct parts;
  using seat = pool_seat;
  struct help;
  void submit_simulated(offload_job& j);

  simulation* const simulated_;
  std::shared_ptr<parts> parts_;  // the threads' too: one that was given up goes on with them
};

}  // namespace heddle::detail
