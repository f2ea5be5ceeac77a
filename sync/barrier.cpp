// SPDX-License-Identifier: MIT
#include <heddle/sync/barrier.h>

#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>

#include <array>
#include <string>

namespace heddle {

using namespace detail;

namespace {
std::size_t checked_parties(std::ptrdiff_t parties) {
  if (parties < 1)
    throw_bad_value("a barrier of " + std::to_string(parties) +
                    " parties: there must be 1 or more");
  return static_cast<std::size_t>(parties);
}
}  // namespace

barrier::barrier(std::ptrdiff_t parties) : parties_(checked_parties(parties)) {}

bool barrier::arrive(waiting& w, task_record& t) noexcept {
  work_list todo;
  bool waits = false;
  waiters_.lock();
  if (state_ == state::broken) {
    w.broken_ = true;
  } else if (state_ != state::filling) {
    w.wish = true;
    waits = next_.suspend(w, t);
  } else if (here_ + 1 < parties_) {
    waits = waiters_.suspend(w, t);
    if (waits) ++here_;
  } else {
    w.index_ = here_;
    complete(todo);
  }
  waiters_.unlock();
  todo.settle();  // after the unlock: the barrier may live in the frame of a task that goes on
  return waits;
}

// The round is complete: all but the arriving task are linked. A canceller may have claimed one of
// the linked tasks and not have unlinked it yet. That task counts: it met the others and was
// cancelled right after. Nobody can tell this from a cancellation that came later.
void barrier::complete(work_list& todo) noexcept {
  std::size_t index = 0;
  while (waiter* other = waiters_.first()) {
    waiters_.unlink(*other);
    static_cast<waiting*>(other)->index_ = index++;
    if (other->task->state().claim() != on_wake::schedule) continue;
    other->given = true;
    leaving_.add(*other);
    todo.schedule(*other->task);
  }
  here_ = 0;
  state_ = leaving_.empty() ? state::filling : state::draining;
}

// The task of `w` runs on. The last task of a round to do so begins the next round.
void barrier::run_on(waiting& w) noexcept {
  work_list todo;
  waiters_.lock();
  leaving_.remove(w);
  if (leaving_.empty() && state_ != state::broken) begin_round(todo);
  waiters_.unlock();
  todo.settle();
}

// The tasks that came while the last round left are the first of this round, in their order.
void barrier::begin_round(work_list& todo) noexcept {
  state_ = state::filling;
  while (state_ == state::filling) {
    waiter* first = next_.first();
    if (!first) return;
    next_.unlink(*first);
    first->wish = false;
    waiters_.link_before(*first, nullptr);
    if (++here_ == parties_) complete(todo);
  }
}

void barrier::leave(waiter& w) noexcept {
  waiters_.lock();
  if (w.linked) {
    if (w.wish) {
      next_.unlink(w);
    } else {
      waiters_.unlink(w);
      --here_;
    }
  }
  waiters_.unlock();
}

void barrier::drop_round(work_list& todo) noexcept {
  while (waiter* other = waiters_.first()) {
    waiters_.unlink(*other);
    static_cast<waiting*>(other)->broken_ = true;
    if (other->task->state().claim() != on_wake::schedule) continue;
    other->given = true;
    leaving_.add(*other);
    todo.schedule(*other->task);
  }
  here_ = 0;
}

void barrier::reset() noexcept {
  work_list todo;
  waiters_.lock();
  drop_round(todo);
  for (waiter* w = leaving_.first(); w; w = w->next) static_cast<waiting*>(w)->broken_ = true;
  if (leaving_.empty())
    begin_round(todo);
  else
    state_ = state::resetting;
  waiters_.unlock();
  todo.settle();
}

void barrier::abort() noexcept {
  work_list todo;
  waiters_.lock();
  drop_round(todo);
  while (waiter* other = next_.first()) {
    next_.unlink(*other);
    static_cast<waiting*>(other)->broken_ = true;
    if (other->task->state().claim() == on_wake::schedule) todo.schedule(*other->task);
  }
  state_ = state::broken;
  waiters_.unlock();
  todo.settle();
}

std::size_t barrier::n_waiting() const noexcept {
  waiters_.lock();
  const auto n = here_;
  waiters_.unlock();
  return n;
}

bool barrier::broken() const noexcept {
  waiters_.lock();
  const bool b = state_ == state::broken;
  waiters_.unlock();
  return b;
}

std::size_t barrier::waiting::result() const {
  if (broken_) throw broken_barrier_error();
  return index_;
}

}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<barrier> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle7barrier7waitingE",
       .name = "barrier",
       .text = " %0 of %1",
       .figures = {{offsetof(barrier::waiting, barrier_), offsetof(barrier, here_), 8},
                   {offsetof(barrier::waiting, barrier_), offsetof(barrier, parties_), 8}},
       .object = {offsetof(barrier::waiting, barrier_), sizeof(barrier)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds") constexpr auto barrier_kinds = std::to_array(layout_of<barrier>::kinds);
}  // namespace

}  // namespace heddle::detail
