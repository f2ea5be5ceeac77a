// SPDX-License-Identifier: MIT
#include <heddle/core/world.h>

#include <sched.h>

namespace heddle::detail {
namespace {
constinit thread_local world* here = nullptr;
}

world* world_of_this_thread() noexcept { return here; }

void set_world_of_this_thread(world* w) noexcept { here = w; }

void yield_thread() noexcept {
  if (world* w = this_world())
    w->pass();
  else
    ::sched_yield();
}

}  // namespace heddle::detail
