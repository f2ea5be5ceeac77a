// SPDX-License-Identifier: MIT
#include <heddle/sync/barrier.h>

#include <heddle/core/errors.h>

#include <string>

namespace heddle {

using namespace detail;

namespace {
std::size_t checked(std::ptrdiff_t parties) {
  if (parties < 1)
    throw bad_value("a barrier of " + std::to_string(parties) +
                    " parties: there must be 1 or more");
  return static_cast<std::size_t>(parties);
}
}  // namespace

barrier::barrier(std::ptrdiff_t parties) : parties_(checked(parties)) {}

// A round is complete when `parties` are linked or at the door. One of the linked may have been
// claimed by a canceller that has not unlinked it yet: it counts as having met the others and been
// cancelled right after, which nobody can tell apart.
barrier::arrival barrier::arrive(waiting& w, task_record& t) noexcept {
  work_list todo;
  auto how = arrival::goes_on;
  waiters_.lock();
  if (broken_) {
    w.broken_ = true;
    how = arrival::broken;
  } else if (here_ + 1 < parties_) {
    if (waiters_.suspend(w, t)) {
      ++here_;
      how = arrival::waits;
    }
  } else {
    std::size_t index = 0;
    while (waiter* other = waiters_.first()) {
      waiters_.unlink(*other);
      static_cast<waiting*>(other)->index_ = index++;
      if (other->task->state().claim() != on_wake::schedule) continue;
      other->given = true;
      todo.schedule(*other->task);
    }
    here_ = 0;
    w.index_ = index;
  }
  waiters_.unlock();
  todo.settle();  // after the unlock: the barrier may live in the frame of one who goes on
  return how;
}

void barrier::leave(waiter& w) noexcept {
  waiters_.lock();
  if (w.linked) {
    waiters_.unlink(w);
    --here_;
  }
  waiters_.unlock();
}

void barrier::drop_all(work_list& todo) noexcept {
  while (waiter* other = waiters_.first()) {
    waiters_.unlink(*other);
    static_cast<waiting*>(other)->broken_ = true;
    if (other->task->state().claim() == on_wake::schedule) todo.schedule(*other->task);
  }
  here_ = 0;
}

void barrier::reset() noexcept {
  work_list todo;
  waiters_.lock();
  drop_all(todo);
  broken_ = false;
  waiters_.unlock();
  todo.settle();
}

void barrier::abort() noexcept {
  work_list todo;
  waiters_.lock();
  drop_all(todo);
  broken_ = true;
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
  const bool b = broken_;
  waiters_.unlock();
  return b;
}

std::size_t barrier::waiting::result() const {
  if (broken_) throw broken_barrier_error();
  return index_;
}

}  // namespace heddle
