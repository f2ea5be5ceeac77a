// SPDX-License-Identifier: MIT
// Tasks that wait in a condition and note their letters when they have been notified.
#pragma once

#include <heddle/sched/create_task.h>
#include <heddle/sync/condition.h>

#include <support/waiting.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace support {

inline heddle::task<> wait_and_note(heddle::condition& c, std::string& log, char who) {
  const auto guard = co_await c.scoped_lock();
  EXPECT_TRUE(co_await c.wait());
  EXPECT_TRUE(c.locked());
  log += who;  // guarded by the lock
}

/// Starts a waiter for each letter of `names`, each in the queue before the next.
inline heddle::task<std::vector<heddle::task_handle<void>>> start_waiters(heddle::condition& c,
                                                                          std::string& log,
                                                                          const char* names) {
  std::vector<heddle::task_handle<void>> all;
  for (const char* n = names; *n; ++n) {
    all.push_back(heddle::create_task(wait_and_note(c, log, *n)));
    co_await until_waiting(all.back());
    co_await until([&] { return !c.locked(); });
  }
  co_return all;
}

}  // namespace support
