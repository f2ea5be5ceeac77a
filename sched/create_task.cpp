// SPDX-License-Identifier: MIT
#include <heddle/sched/create_task.h>

#include <heddle/sched/runtime/runtime_state.h>

namespace heddle::detail {

void throw_not_joinable(task_record& waiting, eventual& target) {
  if (&target == &waiting.root()) throw_usage("a task cannot await itself: it would wait for ever");
  throw_usage("co_await of " +
              (target.what() == kind::task ? describe_task(static_cast<task_record&>(target))
                                           : std::string("an object")) +
              " of another runtime: pass its result through a future of this one");
}

void throw_target_cancelled(task_record& target, task_record* through) {
  if (through) {
    bool has_own = false;
    if (auto* x = target.extra_if_any()) {
      x->lock.lock();
      has_own = !x->message.empty();
      x->lock.unlock();
    }
    if (!has_own) throw_cancelled(*through);
  }
  throw_cancelled(target);
}
void throw_not_done(task_record&) {
  throw invalid_state_error("the task has not ended: it has no result yet");
}

loop_name callback_loop(task_record& t) {
  if (auto* w = this_worker()) return {w->group().serial, w->index()};
  loop_name first{0, 0};
  const auto name = [](runtime_state& s, void* to) {
    static_cast<loop_name*>(to)->runtime = s.serial;
  };
  if (!with_runtime_of(t, name, &first))
    throw_usage("add_done_callback: the runtime of the task has ended");
  return first;
}

bool deliver_callback(loop_name where, callback& c) noexcept {
  struct captured {
    unsigned index;
    callback* c;
  } p{where.index, &c};
  return with_runtime(
      where.runtime,
      [](runtime_state& s, void* argument) {
        auto& p = *static_cast<captured*>(argument);
        s.workers[p.index]->deliver(work(*p.c));
      },
      &p);
}

}  // namespace heddle::detail
