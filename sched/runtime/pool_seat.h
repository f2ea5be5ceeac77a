// SPDX-License-Identifier: MIT
// Internal to sched.
// Where a thread of a pool sleeps (protocol POOL, thread_pool.h).
#pragma once

#include <semaphore.h>

namespace heddle::detail {

/// A thread's place to sleep, and what it knows of how long jobs let it wait.
struct pool_seat {
  static constexpr unsigned most_credit = 8;

  pool_seat() { sem_init(&woken, 0, 0); }
  pool_seat(const pool_seat&) = delete;
  ~pool_seat() { sem_destroy(&woken); }

  sem_t woken;
  pool_seat* below = nullptr;  // the next sleeper, under queue_lock; so is:
  bool sleeps = false;
  bool looking = false;           // counted in `looking`; the thread's own
  unsigned credit = most_credit;  // looking before sleeping has paid lately
  unsigned short_sleeps = 0;      // although there was no credit
};

}  // namespace heddle::detail
