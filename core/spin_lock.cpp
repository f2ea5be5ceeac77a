// SPDX-License-Identifier: MIT
#include <heddle/core/spin_lock.h>

#include <sched.h>

namespace heddle::detail {

void spin_lock::lock_slow() noexcept {
  backoff wait;
  do {
    while (held_.load(relaxed) != 0) wait.pause();
  } while (held_.exchange(1, acquire) != 0);
}

void spin_lock::lock_slow_for_all_worlds() noexcept {
  unsigned turns = 0;
  do {
    while (held_.load(relaxed) != 0) {
      if (turns == 6) {
        ::sched_yield();
        continue;
      }
      for (unsigned i = 0; i < (1u << turns); ++i) cpu_relax();
      ++turns;
    }
  } while (held_.exchange(1, acquire) != 0);
}

}  // namespace heddle::detail
