// SPDX-License-Identifier: MIT
#include <heddle/sched/loop.h>

#include <heddle/core/base/thread_state.h>

namespace heddle {

loop* current_loop_if_any() noexcept { return static_cast<loop*>(detail::this_thread().loop); }

loop& current_loop() {
  auto* l = current_loop_if_any();
  if (!l) throw no_running_loop();
  return *l;
}

}  // namespace heddle
