// SPDX-License-Identifier: MIT
#include <heddle/sync/queue_core.h>

#include <heddle/core/errors.h>

#include <string>

namespace heddle::detail {

std::size_t queue_core::size() const noexcept {
  const hold locked(*this);
  return size_;
}

bool queue_core::is_shut_down() const noexcept {
  const hold locked(*this);
  return shut_down_;
}

bool queue_core::all_done() const noexcept {
  const hold locked(*this);
  return unfinished_ == 0;
}

bool queue_core::wait_turn(turn& w, task_record& t) noexcept {
  w.task = nullptr;  // it may have waited before
  w.given = false;
  const hold locked(*this);
  const bool getter = w.side_ == side::getters;
  if (getter ? may_get() != get_result::empty : may_put() != put_result::full) return false;
  waiter* place = nullptr;
  if (w.ticket_ == 0) {
    w.ticket_ = ++tickets_;
  } else {
    place = w.queue->first();
    while (place && static_cast<turn*>(place)->ticket_ < w.ticket_) place = place->next;
  }
  return w.queue->suspend(w, t, place);
}

bool queue_core::wait_join(waiter& w, task_record& t) noexcept {
  const hold locked(*this);
  return unfinished_ != 0 && joiners_.suspend(w, t);
}

void queue_core::leave(waiter& w) noexcept {
  const hold locked(*this);
  if (w.linked) w.queue->unlink(w);
}

void queue_core::pass_on(side of) noexcept {
  task_record* t = nullptr;
  {
    const hold locked(*this);
    if (of == side::getters) {
      if (may_get() == get_result::done) t = wake(getters_);
    } else {
      if (may_put() == put_result::done) t = wake(putters_);
    }
  }
  if (t) schedule(*t);
}

void queue_core::claim_joiners(work_list& todo) noexcept {
  while (auto* t = wake(joiners_)) todo.schedule(*t);
}

void queue_core::throw_shut_down(const char* call) {
  throw queue_shut_down(std::string(call) + ": the queue was shut down" + in_this_task());
}

void queue_core::close(std::size_t dropped, work_list& todo) noexcept {
  shut_down_ = true;
  size_ -= dropped;
  unfinished_ -= dropped;
  while (auto* t = wake(getters_)) todo.schedule(*t);
  while (auto* t = wake(putters_)) todo.schedule(*t);
  if (unfinished_ == 0) claim_joiners(todo);
}

void queue_core::task_done() {
  work_list todo;
  bool too_often = false;
  {
    const hold locked(*this);
    if (unfinished_ == 0)
      too_often = true;
    else if (--unfinished_ == 0)
      claim_joiners(todo);
  }
  if (too_often) throw_bad_value("task_done was called more often than items were put");
  todo.settle();
}

}  // namespace heddle::detail
