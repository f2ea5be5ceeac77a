// SPDX-License-Identifier: MIT
#include <heddle/core/simulated/world.h>

#include <sched.h>

namespace heddle::detail {
namespace {
constinit thread_local world* here = nullptr;
}

world* world_of_this_thread() noexcept { return here; }

void set_world_of_this_thread(world* w) noexcept { here = w; }

#ifdef HEDDLE_ATOMIC_HEADER
namespace {
constinit thread_local int not_now = 0;
constinit thread_local bool weak_fails = false;
}  // namespace

void overtaken_here() noexcept {
  world* w = not_now == 0 ? this_world() : nullptr;
  weak_fails = w && w->atomic_point();
}
bool fails_for_no_reason() noexcept { return weak_fails; }
void interrupt(bool allowed) noexcept { not_now += allowed ? -1 : 1; }
#endif

void yield_thread() noexcept {
  if (world* w = this_world())
    w->pass();
  else
    ::sched_yield();
}

}  // namespace heddle::detail
