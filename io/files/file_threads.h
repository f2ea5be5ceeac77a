// SPDX-License-Identifier: MIT
// Internal to io.
// Threads for files, apart from those of to_thread. Not a public header.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/sched/to_thread.h>

#include <utility>

namespace heddle::detail {

/// More calls than these at one time wait for each other: a disk gets no faster by more threads.
inline constexpr unsigned most_file_threads = 16;

/// Gives a job to the file threads of the calling loop's runtime. Throws as submit_to_pool.
void submit_to_files(offload_job& j);

/// Calls `f(args...)`, which may block on a disk, and yields what it returns. Jobs of to_thread and
/// names that are looked up do not delay it, nor does it delay them. As to_thread in everything
/// else.
template <class F, class... Args>
[[nodiscard]] auto on_file_thread(F&& f, Args&&... args) {
  auto job = make_job(std::forward<F>(f), std::forward<Args>(args)...);
  return await_job(std::move(job), &submit_to_files);
}

}  // namespace heddle::detail
