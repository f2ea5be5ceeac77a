// SPDX-License-Identifier: MIT
#include <heddle/core/simulated/world.h>
#include <heddle/sched/loop/asymmetric_fence.h>

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
  // For all threads, those of the future too; a forked child inherits it. Not remembered here: the
  // first call may take milliseconds, during which a fork would leave the child a lock that nobody
  // opens, and those that follow take no time.
  return ask(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

}  // namespace heddle::detail
