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
  // Registers all threads of the process, later ones too; a child of fork(2) inherits it. The
  // answer is not kept in a function-local static. The first call may take milliseconds, under the
  // lock of that static. A fork(2) meanwhile would leave the child a lock that no thread opens.
  // Later calls take no time.
  return ask(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

}  // namespace heddle::detail
