// SPDX-License-Identifier: MIT
#include <heddle/core/spin_lock.h>

namespace heddle::detail {

void spin_lock::lock_slow() noexcept {
  backoff wait;
  do {
    while (held_.load(relaxed) != 0) wait.pause();
  } while (held_.exchange(1, acquire) != 0);
}

}  // namespace heddle::detail
