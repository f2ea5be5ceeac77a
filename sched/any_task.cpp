// SPDX-License-Identifier: MIT
#include <heddle/sched/any_task.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/record/work_list.h>
#include <heddle/sched/runtime/introspect.h>

namespace heddle {

bool any_task::cancel(std::string_view message) const {
  auto& t = at();
  if (t.done()) {
    t.mark_retrieved();
    return false;
  }
  if (!message.empty()) t.extra().set(&detail::task_extra::message, std::string(message));
  const bool took = detail::cancel_now(t);
  if (!took) t.mark_retrieved();  // the caller has looked at it, as in asyncio
  return took;
}

context any_task::get_context() const { return context(at().extra().context.shared()); }

std::string any_task::get_name() const { return at().name(); }

void any_task::set_name(std::string name) const {
  at().extra().set(&detail::task_extra::name, std::move(name));
}

std::string any_task::state() const { return detail::state_of(at()); }

void any_task::throw_empty() { detail::throw_usage("use of an empty task handle"); }

any_task current_task() noexcept {
  auto* t = detail::this_thread().current;
  if (!t) return {};
  auto& root = t->root();
  root.ref();
  return any_task(&root);
}

std::vector<any_task> all_tasks() {
  const auto here = detail::this_thread().runtime;
  if (here == 0) throw no_running_loop();
  return detail::living_tasks<any_task>(detail::short_number(here));
}

}  // namespace heddle
