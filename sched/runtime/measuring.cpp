// SPDX-License-Identifier: MIT
// The figures of a runtime: runtime::metrics().
#include <heddle/sched/metrics.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/registry.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <algorithm>
#include <exception>
#include <vector>

namespace heddle {

struct metrics runtime::metrics() const {
  const auto& s = *state_;
  struct metrics all;
  all.runtime = s.serial;
  all.reactor = s.workers.front()->own_driver().name();
  // What has ended is read before what was made, so that no task is seen to end that was not made.
  for (const auto* w : s.workers) all.tasks.ended += w->finished();
  for (const auto* w : s.workers) {
    w->add_ends_to(all.tasks);
    all.loops.push_back(w->measured());
  }
  // pairs with launch_foreign()
  all.tasks.made = s.foreign_created.load(detail::acquire);
  for (const auto* w : s.workers) all.tasks.made += w->created();
  all.tasks.alive = all.tasks.made - all.tasks.ended;
  all.pool = s.pool.measured();
  return all;
}

std::vector<metrics> measure_runtimes() {
  struct found {
    std::vector<metrics> all;
    std::exception_ptr error;
  } to;
  auto numbers = detail::living_runtimes();
  std::sort(numbers.begin(), numbers.end());
  for (const auto number : numbers) {
    (void)detail::with_runtime(
        number,
        [](detail::runtime_state& s, void* context) {
          auto& here = *static_cast<found*>(context);
          try {
            here.all.push_back(s.facade.metrics());
          } catch (...) { here.error = std::current_exception(); }
        },
        &to);
  }
  if (to.error) std::rethrow_exception(to.error);
  return std::move(to.all);
}

}  // namespace heddle
