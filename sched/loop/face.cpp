// SPDX-License-Identifier: MIT
// What the public face of a loop (sched/loop.h) and core (core/scheduler.h) ask of the loop behind
// it.
#include <heddle/core/base/thread_state.h>
#include <heddle/core/clock.h>
#include <heddle/core/scheduler.h>
#include <heddle/sched/loop/loop_time.h>
#include <heddle/sched/loop/worker.h>

#include <mutex>
#include <utility>

namespace heddle::detail {

callback_handle worker::post(callback* c) {
  callback_handle handle(c);
  check_open("call_soon");
  c->context = inherited_context();
  c->ref_unshared();  // the queue's
  deliver(work(*c));
  return handle;
}

callback_handle worker::post_at(timed_callback* c, time_point when) {
  callback_handle handle(c);
  check_open("call_at");
  c->context = inherited_context();
  c->belongs_to(*this, group_->serial, &time_has_come);
  if (this_worker() == this) {
    const std::lock_guard hold(timers_);
    (void)c->arm(timers_, when);
    return handle;
  }
  const loop_group::guest inside(*group_);
  {
    const std::lock_guard hold(timers_);
    if (!c->arm(timers_, when)) return handle;
    timers_.announce();
  }
  timer_moved_up();
  return handle;
}

// Under the timers' lock: see timer_node.
void worker::time_has_come(timer_node& node, work_list&) noexcept {
  auto& c = static_cast<timed_callback&>(node);
  worker& home = c.comes_due();
  home.deliver(work(c));
}

void worker::subscribe(occasion when, int number, counted_ptr<handler> what) {
  check_open("add_reader, add_writer or add_signal_handler");
  const loop_group::guest inside(*group_);
  group_->workers.front()->own_driver().subscribe(when, number, *this, own_driver(),
                                                  std::move(what));
}

bool worker::unsubscribe(occasion when, int number) {
  const loop_group::guest inside(*group_);
  return group_->workers.front()->own_driver().unsubscribe(when, number);
}

void reschedule(task_record& t) noexcept {
  auto* here = worker_of(self_of_thread);
  if (t.is_pinned() && t.home() != here)
    schedule(t);
  else
    here->push_back(t);
}

void give_way(task_record& t) noexcept {
  worker_of(self_of_thread)->look_round();
  reschedule(t);
}

time_point loop_time() noexcept {
  const auto* here = static_cast<const worker*>(self_of_thread.loop);
  return here && here->last_poll() != time_point() ? here->last_poll() : clock::now();
}

}  // namespace heddle::detail
