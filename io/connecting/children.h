// SPDX-License-Identifier: MIT
// Internal to io.
// Tasks of a group, of which the first end is awaited, then the next.
#pragma once

#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/sched/create_task.h>

#include <optional>
#include <vector>

namespace heddle::detail {

using children = std::vector<task_handle<void>>;

/// Waits until one of `running` has ended, or `limit` has passed. Takes those that ended out.
/// `running` is not empty, and outlives the task.
[[nodiscard]] task<> wait_for_one(children& running, std::optional<any_duration> limit);

}  // namespace heddle::detail
