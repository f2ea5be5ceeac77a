// SPDX-License-Identifier: MIT
#include <heddle/io/files/file_threads.h>

#include <heddle/core/errors.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/runtime/services.h>

namespace heddle::detail {
namespace {

unsigned threads_wanted(const options& o) noexcept {
  return o.file_threads != 0 ? o.file_threads : default_file_threads;
}

class file_threads final : public service {
 public:
  /// On a loop of the runtime that it belongs to.
  file_threads() : pool(threads_wanted(this_runtime()->opts), 1) {}
  void end() noexcept override { (void)pool.shutdown(saturating_add(clock::now(), longest_end)); }
  thread_pool pool;
};

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
