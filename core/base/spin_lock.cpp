// SPDX-License-Identifier: MIT
#include <heddle/core/base/spin_lock.h>

#include <algorithm>
#include <cerrno>

#include <sched.h>
#include <time.h>

namespace heddle::detail {
namespace {
constexpr long first_sleep = 50'000;       // nanoseconds
constexpr long longest_sleep = 1'000'000;  // nanoseconds
}  // namespace

void backoff::stand_back() noexcept {
  if (!sleeps()) {
    ++turns_;
    ::sched_yield();
    return;
  }
  const unsigned doubled = turns_ - (spins + yields);
  if (doubled < doublings) ++turns_;
  const int before = errno;  // a signal may end the sleep, which the waiter's caller must not see
  const timespec time{0, std::min(first_sleep << doubled, longest_sleep)};
  (void)::nanosleep(&time, nullptr);
  errno = before;
}

void spin_lock::lock_slow() noexcept {
  backoff wait;
  do {
    while (held_.load(relaxed) != 0) wait.pause();
  } while (held_.exchange(1, acquire) != 0);  // pairs with unlock()
}

void spin_lock::lock_slow_for_all_worlds() noexcept {
  backoff wait;
  do {
    while (held_.load(relaxed) != 0) wait.pause_thread();
  } while (held_.exchange(1, acquire) != 0);  // pairs with unlock()
}

}  // namespace heddle::detail
