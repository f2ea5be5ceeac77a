// SPDX-License-Identifier: MIT
// Internal to io.
// Threads for calls that block on a disk, apart from the threads of to_thread.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/sched/to_thread.h>

#include <utility>

namespace heddle::detail {

/// With more calls at one time some of them wait: more threads make no disk faster.
inline constexpr unsigned most_file_threads = 16;

/// Gives a job to the file threads of the calling loop's runtime. Throws as submit_to_pool.
void submit_to_files(offload_job& j);

/// Calls `f(args...)`, which may block on a disk, on a file thread, and yields its result. It
/// neither delays jobs of to_thread and look-ups of names, nor is it delayed by them. In all else
/// it is as to_thread.
template <class F, class... Args>
[[nodiscard]] auto on_file_thread(F&& f, Args&&... args) {
  auto job = make_job(std::forward<F>(f), std::forward<Args>(args)...);
  return await_job(std::move(job), &submit_to_files);
}

}  // namespace heddle::detail
