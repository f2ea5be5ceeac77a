// SPDX-License-Identifier: MIT
#include <heddle/sched/parallel_for_each.h>

#include <heddle/sched/runtime/runtime_state.h>

namespace heddle::detail {

std::size_t batches_at_once() noexcept {
  const auto* s = this_runtime();
  return s ? 4 * s->workers.size() : 4;
}

void check_grain(std::size_t grain) {
  if (grain == 0) throw_usage("parallel_for_each with a grain of 0");
}

}  // namespace heddle::detail
