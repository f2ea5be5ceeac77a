// SPDX-License-Identifier: MIT
#include <heddle/io/files/file_threads.h>

#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/core/errors.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/runtime/services.h>

#include <new>
#include <string>

namespace heddle::detail {
namespace {

unsigned threads_wanted(const options& o) noexcept {
  return o.file_threads != 0 ? o.file_threads : default_file_threads;
}

class file_threads final : public service {
 public:
  /// On a loop of the runtime that it belongs to.
  file_threads() : runtime(*this_runtime()), pool(threads_wanted(runtime.opts), 1) {}
  void end() noexcept override;

  runtime_state& runtime;
  thread_pool pool;
};

void file_threads::end() noexcept {
  const auto limit = runtime.opts.file_end_limit;
  if (pool.shutdown(saturating_add(clock::now(), limit))) return;
  try {
    error_context what;
    what.message = "file threads did not end within options.file_end_limit, " +
                   std::to_string(static_cast<double>(limit.count()) / 1e9) +
                   " s: the calls that they have begun are left alone";
    runtime.report(what);
  } catch (const std::bad_alloc&) {}  // the report is left out
}

}  // namespace

bool has_file_threads() noexcept { return this_runtime() != nullptr; }

void submit_to_files(offload_job& j) {
  auto* runtime = this_runtime();
  if (!runtime) throw no_running_loop();
  auto& files = runtime->services.get<file_threads>(service_name::files);
  j.context = inherited_context();
  j.ref();  // for the thread
  try {
    files.pool.submit(j);
  } catch (...) {
    j.unref();
    throw;
  }
}

}  // namespace heddle::detail
