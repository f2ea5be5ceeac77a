// SPDX-License-Identifier: MIT
// The threads behind to_thread: made on demand, up to a cap; they end when idle for long. Not a public header.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/functional.h>
#include <heddle/sched/offload.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace heddle::detail {

class simulation;

// Protocol POOL.  idle_ is how many threads wait for a job, or are about to, minus how many jobs are queued and not yet taken. A submitter
// lowers it by one after its push; if it was not above 0 then no thread is free for the job, and another one is started, if the cap
// allows (at the cap a thread that ends a job finds it). A thread raises it before it waits. One that has waited long takes itself off, by
// compare-exchange and only while idle_ is above 0: otherwise a job is promised to it. So a queued job always has a thread coming for it.
class thread_pool {
 public:
  /// At most `most` threads; the arena of to_arena jobs has `arena_slots` slots.
  thread_pool(unsigned most, unsigned arena_slots);
  ~thread_pool();

  /// Runs `j` on some thread and takes over its thread's reference. Throws usage_error after shutdown, std::system_error if the first thread
  /// cannot be made; then the reference is still the caller's.
  void submit(offload_job& j);
  /// No new jobs; waits for all that were given, at most until `limit`. Again is harmless. False: some did not end in time; their threads
  /// are on their own from now on, and a later shutdown does not wait for them.
  bool shutdown(time_point limit = time_point::max()) noexcept;
  /// The same by a thread of its own, which then calls `done`.
  void shutdown_beside(time_point limit, std::function<void(bool)> done);
  [[nodiscard]] unsigned threads() const noexcept;

 private:
  struct parts;
  void submit_simulated(offload_job& j);

  simulation* const simulated_;
  std::shared_ptr<parts> parts_;  // the threads' too: one that was given up goes on with them
};

}  // namespace heddle::detail
