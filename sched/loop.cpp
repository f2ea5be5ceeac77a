// SPDX-License-Identifier: MIT
#include <heddle/sched/loop.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/sched/runtime/runtime_state.h>

namespace heddle {

loop* current_loop_if_any() noexcept { return static_cast<loop*>(detail::this_thread().loop); }

loop& current_loop() {
  auto* l = current_loop_if_any();
  if (!l) throw no_running_loop();
  return *l;
}

callback_handle loop::post(detail::callback* c) {
  auto& w = static_cast<detail::worker&>(*this);
  callback_handle handle(c);
  w.check_open("call_soon");
  c->context = detail::inherited_context();
  c->ref_alone();  // the queue's
  w.deliver(detail::work(*c));
  return handle;
}

callback_handle loop::post_at(detail::timed_callback* c, time_point when) {
  auto& w = static_cast<detail::worker&>(*this);
  callback_handle handle(c);
  w.check_open("call_at");
  c->context = detail::inherited_context();
  c->arm(w, when);
  return handle;
}

void loop::subscribe(detail::occasion when, int number, detail::counted_ptr<detail::handler> what) {
  auto& w = static_cast<detail::worker&>(*this);
  w.check_open("add_reader, add_writer or add_signal_handler");
  detail::runtime_state::guest inside(w.state());
  w.state().workers.front()->own_driver().subscribe(when, number, *this, w.own_driver(),
                                                    std::move(what));
}

bool loop::unsubscribe(detail::occasion when, int number) {
  auto& w = static_cast<detail::worker&>(*this);
  detail::runtime_state::guest inside(w.state());
  return w.state().workers.front()->own_driver().unsubscribe(when, number);
}

}  // namespace heddle
