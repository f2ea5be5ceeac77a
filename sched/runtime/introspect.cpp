// SPDX-License-Identifier: MIT
#include <heddle/sched/any_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <algorithm>

namespace heddle {

std::string any_task::state() const {
  using detail::outcome;
  using detail::task_state;
  const auto w = at().state().load();
  switch (detail::word::state(w)) {
    case task_state::active: return "running or ready";
    case task_state::leaf: return "waiting";
    case task_state::forwarding:
    case task_state::frozen: return "waiting for a task or future";
    case task_state::kernel: return "waiting for the kernel";
    case task_state::done: break;
  }
  switch (detail::word::result(w)) {
    case outcome::cancelled: return "cancelled";
    case outcome::error: return "failed";
    default: return "done";
  }
}

namespace {
std::vector<any_task> tasks_of(detail::runtime_state& s) {
  std::vector<any_task> all;
  detail::task_record::scan(
      [&](detail::task_record& r) {
        if (r.what() != detail::kind::task || r.done()) return;
        r.ref();
        any_task found(&r);
        all.push_back(std::move(found));
      },
      s.id);
  if (s.simulated)  // not by their places in memory, which no seed decides
    std::sort(all.begin(), all.end(), [&s](const any_task& a, const any_task& b) {
      return s.simulated->number_of(*a.record()) < s.simulated->number_of(*b.record());
    });
  return all;
}
}  // namespace

std::vector<any_task> all_tasks() {
  auto* s = detail::this_runtime();
  if (!s) throw no_running_loop();
  return tasks_of(*s);
}

std::vector<any_task> all_tasks(const runtime& r) {
  return r.is_closed() ? std::vector<any_task>() : tasks_of(*r.state_);
}

}  // namespace heddle
