// SPDX-License-Identifier: MIT
#include <heddle/core/world.h>
#include <heddle/sched/asymmetric_fence.h>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace heddle::detail {
namespace {

bool ask(int command) noexcept { return ::syscall(__NR_membarrier, command, 0, 0) == 0; }

}  // namespace

bool heavy_fence() noexcept {
  if (this_world()) return true;
  return ask(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

bool heavy_fence_available() noexcept {
  // Once for all threads, those of the future too; a forked child inherits it.
  static const bool registered = ask(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
  return registered;
}

}  // namespace heddle::detail
