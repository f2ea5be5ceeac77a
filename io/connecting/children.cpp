// SPDX-License-Identifier: MIT
#include <heddle/io/connecting/children.h>

#include <heddle/sched/wait_many.h>

#include <utility>

namespace heddle::detail {

task<> wait_for_one(children& running, std::optional<any_duration> limit) {
  auto waiting = heddle::wait(running, wait_until::first_completed, limit);
  auto found = co_await std::move(waiting);
  running = std::move(found.pending);
}

}  // namespace heddle::detail
