// SPDX-License-Identifier: MIT
#include <heddle/io/descriptors/turns.h>

#include <heddle/core/seeing/layout.h>

namespace heddle::detail {

void turn::hold_locked() noexcept {
  next_holder_ = all_.first_;
  all_.first_ = this;
  all_.held_.store(all_.held_.load(relaxed) + 1, relaxed);
}

bool turn::is_free_locked() const noexcept {
  const turn* holder = all_.first_;
  while (holder && holder->key_ != key_) holder = holder->next_holder_;
  return !holder;
}

bool turn::try_take() noexcept {
  all_.waiting_.lock();
  holds_ = is_free_locked();
  if (holds_) hold_locked();
  all_.waiting_.unlock();
  return holds_;
}

// After the unlock nothing here touches the turn if it waits: its task may be running.
HEDDLE_NOINLINE bool turn::suspend(task_record& t) noexcept {
  auto& line = all_.waiting_;
  line.lock();
  bool waits = false;
  if (is_free_locked()) {
    task = &t;
    given = true;
    hold_locked();
  } else {
    waits = line.suspend(*this, t);
  }
  line.unlock();
  return waits;
}

void turn::pass_on() noexcept {
  auto& line = all_.waiting_;
  task_record* next = nullptr;
  line.lock();
  turn** at = &all_.first_;
  while (*at != this) at = &(*at)->next_holder_;
  *at = next_holder_;
  all_.held_.store(all_.held_.load(relaxed) - 1, relaxed);
  for (waiter* w = line.first(); w && !next;) {
    auto& other = static_cast<turn&>(*w);
    w = w->next;
    if (other.key_ != key_) continue;
    line.unlink(other);
    if (other.task->state().claim() != on_wake::schedule) continue;  // a canceller has it
    other.given = true;
    other.hold_locked();
    next = other.task;
  }
  line.unlock();
  holds_ = false;
  if (next) schedule(*next);
}

}  // namespace heddle::detail

namespace heddle::detail {
namespace {
HEDDLE_ROW("heddle_kinds")
constexpr seeing::kind_row turns_kinds[] = {
    {.type = "N6heddle6detail4turnE", .name = "send"},
};
}  // namespace
}  // namespace heddle::detail
