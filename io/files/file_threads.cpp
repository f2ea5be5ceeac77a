// SPDX-License-Identifier: MIT
#include <heddle/io/files/file_threads.h>

#include <heddle/core/errors.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/runtime/services.h>

namespace heddle::detail {
namespace {

class file_threads final : public service {
 public:
  void end() noexcept override { (void)pool.shutdown(); }
  thread_pool pool{most_file_threads, 1};
};

}  // namespace

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
