// SPDX-License-Identifier: MIT
// Internal to io.
// What a process tells and is told through its pipes, and the wait for its end.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/process/process_parts.h>
#include <heddle/io/stream.h>
#include <heddle/sched/create_task.h>

#include <optional>
#include <string>
#include <vector>

namespace heddle::detail {

task<int> wait_for_exit(process_ref state);
/// Cancels those that have not ended, and waits for their ends. Drops their errors, and the
/// cancellations that come meanwhile.
task<> end_tasks(std::vector<task_handle<>>& tasks);
/// The pipes to a child; not valid() if they were not asked for. They outlive the task that uses
/// them.
struct standard_pipes {
  stream_writer& in;
  stream_reader& out;
  stream_reader& error;
};

/// process::communicate(). Without an input stdin is closed at once. Without a limit there is none.
/// An empty `child` is not waited for.
task<process_output> talk(process_ref child, standard_pipes p, std::optional<std::string> input,
                          std::optional<duration> limit);

}  // namespace heddle::detail
