// SPDX-License-Identifier: MIT
// Internal to sched.
// What the threads of a pool share (thread_pool.cpp): protocol POOL stands in thread_pool.h.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/sched/loop/histogram_cells.h>
#include <heddle/sched/loop/thread_signals.h>
#include <heddle/sched/runtime/thread_pool.h>

#include <oneapi/tbb/task_arena.h>
#include <semaphore.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace heddle::detail {

// A thread's place to sleep, and what it knows of how long jobs let it wait.
struct thread_pool::seat {
  static constexpr unsigned most_credit = 8;

  seat() { sem_init(&woken, 0, 0); }
  seat(const seat&) = delete;
  ~seat() { sem_destroy(&woken); }

  sem_t woken;
  seat* below = nullptr;  // the next sleeper, under queue_lock; so is:
  bool sleeps = false;
  bool looking = false;           // counted in `looking`; the thread's own
  unsigned credit = most_credit;  // looking before sleeping has paid lately
  unsigned short_sleeps = 0;      // although there was no credit
};

// What a change of the queue asks for, to be done without its lock.
struct thread_pool::help {
  seat* sleeper = nullptr;
  bool start = false;
};

struct thread_pool::parts {
  parts(unsigned threads, unsigned slots, duration idle)
      : most(threads), arena_slots(slots), idle_for(idle) {}

  // `self` keeps it for as long as the thread lives.
  using thread_map = std::map<std::uint64_t, std::thread>;
  static void main(const std::shared_ptr<parts>& self, std::uint64_t number) noexcept;
  /// Returns the threads that ended before this one: the caller is to join them.
  [[nodiscard]] static thread_map work(const std::shared_ptr<parts>& self,
                                       std::uint64_t number) noexcept;
  static void send(const std::shared_ptr<parts>& self, help h) noexcept;
  [[nodiscard]] help without_a_thread(offload_job*& stranded) noexcept;
  [[nodiscard]] bool start_thread(const std::shared_ptr<parts>& self, bool first_one);
  [[nodiscard]] task_record* run(offload_job& j) noexcept;
  [[nodiscard]] task_record* execute(offload_job& j) const noexcept;
  bool shutdown(time_point limit) noexcept;
  enum class next { job, idle_for_long, closed };
  [[nodiscard]] static next take(const std::shared_ptr<parts>& self, seat& s,
                                 offload_job*& j) noexcept;
  [[nodiscard]] help help_wanted() noexcept;
  [[nodiscard]] bool look() const noexcept;
  [[nodiscard]] bool sleep(seat& s) const noexcept;
  void will_look(seat& s) noexcept;
  void look_no_more(seat& s) noexcept;

  const unsigned most;
  const unsigned arena_slots;
  const thread_signals signals;
  const duration idle_for;  // a thread that had nothing to do for so long ends
  // The queue, under queue_lock. Nothing blocks or calls out while it is held.
  spin_lock queue_lock;
  offload_job* first = nullptr;
  offload_job* last = nullptr;
  seat* sleepers =
      nullptr;  // the one that slept last comes first: it is warm, and the others may end
  unsigned looking = 0;
  unsigned alive = 0;          // threads, those about to be made included
  std::uint64_t given = 0;     // jobs, so far
  std::uint64_t taken = 0;     // of these, by threads, or stranded
  histogram_cells waited;      // of one job in measured_every
  atomic<bool> queued{false};  // first is not null: for who looks without the lock
  atomic<bool> closed{false};  // written under both locks

  // Taken by those who begin and end threads. Nothing that may block is done under it but the
  // making of a thread.
  std::mutex lock;
  thread_map threads;  // under lock
  thread_map ended;    // under lock: the last one that was idle for long, to be joined
  std::uint64_t next_number = 0;
  bool given_up = false;    // under lock: threads that did not end in time were detached
  std::size_t working = 0;  // under lock: threads that have not left work()
  std::condition_variable left_work;
  std::once_flag arena_made;
  std::optional<tbb::task_arena> arena;
  // When it is simulated: jobs for which there is no virtual thread yet, and how many of these
  // there are.
  std::deque<offload_job*> waiting;
  unsigned running = 0;
};

}  // namespace heddle::detail
