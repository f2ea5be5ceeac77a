// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/watch_bell.h>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exception>

namespace heddle::detail {

constinit plain_atomic<watch_state> watch_bell{watch_state::awake};

void wake_watch() noexcept {
  auto expected = watch_state::asleep;
  // pairs with the store in stall_watch::sleep()
  if (watch_bell.compare_exchange_strong(expected, watch_state::awake, seq_cst, relaxed))
    ::syscall(SYS_futex, &watch_bell, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

constinit thread_local std::uintptr_t watched_from = 0;

void prepare_to_be_watched() noexcept {
  watched_from = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  // Kept, or the compiler would drop the call.
  [[maybe_unused]] volatile int touched = std::uncaught_exceptions();
}

}  // namespace heddle::detail
