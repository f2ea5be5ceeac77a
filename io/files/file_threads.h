// SPDX-License-Identifier: MIT
// Internal to io.
// Threads for calls that block on a disk, apart from the threads of to_thread.
//
// Problem   A disk that does not answer holds the thread that asked, and no call can be taken back.
//           A task that is cancelled, and a runtime that ends, must not wait for that disk.
// Chosen    All that a job touches belongs to the job: its buffer, its path, a share of its file.
//           So the task may go, and the job ends alone. A runtime that ends waits for running jobs
//           for options.file_end_limit, and then leaves their threads to themselves.
// Costs     Bytes that are read are moved once more where a caller lends memory. The memory of an
//           abandoned job stays until its disk answers.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/sched/to_thread.h>

#include <memory>
#include <new>
#include <utility>

namespace heddle::detail {

/// The default of options.file_threads. With more calls at one time some of them wait: more threads
/// make no disk faster.
inline constexpr unsigned default_file_threads = 16;

/// True: the calling thread is a loop's, so jobs can be given to file threads.
[[nodiscard]] bool has_file_threads() noexcept;

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

/// The same for a caller that does not wait: the job runs alone, with what it was given. Where
/// there are no file threads, or where they have ended, `f` is called here.
template <class F>
void on_file_thread_alone(F f) noexcept {
  if (has_file_threads()) {
    try {
      // Shared, so that `f` is called here if the threads refuse the job.
      auto kept = std::make_shared<F>(std::move(f));
      try {
        auto job = make_job([kept] { (*kept)(); });
        submit_to_files(*job);
      } catch (...) { (*kept)(); }
      return;
    } catch (const std::bad_alloc&) {}  // nothing was moved: make_shared found no memory
  }
  f();
}

}  // namespace heddle::detail
