// SPDX-License-Identifier: MIT
#include <heddle/sched/sleep.h>

#include <heddle/core/record/budget.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/sched/loop/worker.h>

#include <array>
#include <mutex>
#include <typeinfo>

namespace heddle::detail {

timers& timers_of_this_loop() {
  auto* w = this_worker();
  if (!w) throw no_running_loop();
  return w->own_timers();
}

// A yield is a wait whose end has come already, so the task stays active. A cancellation meanwhile
// is noted as `must`, and is thrown at the resume.
void yield_awaiter::suspend() noexcept { reschedule(*task_); }

void sleep_awaiter::check_fresh() const {
  if (task_) throw_usage("co_await of a sleep that was awaited before");  // its deadline is gone
}

bool sleep_awaiter::suspend(task_record& t) {
  check_fresh();
  task_ = &t;
  if (yields_) {
    reschedule(t);
    return true;
  }
  timers& heap = timers_of_this_loop();
  t.waits_in(this);
  // Set before the word changes: a canceller that claims the wait reads it before it has the lock.
  armed_in = &heap;
  std::lock_guard hold(heap);
  // What may throw comes before the word changes, since from then on a canceller may claim the
  // wait.
  heap.make_room();
  if (!t.state().begin_leaf()) {
    refused_ = true;
    return false;
  }
  heap.arm(*this, time_point(duration(static_cast<std::int64_t>(sequence))));
  return true;
}

void sleep_awaiter::leave() noexcept {
  timers& heap = *armed_in;
  heap.lock();
  (void)heap.disarm(*this);
  heap.unlock();
}

void sleep_awaiter::fired(timer_node& node, work_list& todo) noexcept {
  auto& self = static_cast<sleep_awaiter&>(node);
  if (self.task_->state().claim() == on_wake::schedule) todo.schedule(*self.task_);
}

}  // namespace heddle::detail

namespace heddle::detail {

template <>
struct layout_of<sleep_awaiter> {
  static constexpr seeing::root_row types[] = {
      {"=sleep", &typeid(sleep_awaiter)},
  };
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail13sleep_awaiterE",
       .name = "sleep",
       .text = "%0T",
       .figures = {{seeing::figure::here, sizeof(wait_base), sizeof(timer_node)}}},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto sleep_kinds = std::to_array(layout_of<sleep_awaiter>::kinds);
HEDDLE_ROW("heddle_roots")
constexpr auto sleep_roots = std::to_array(layout_of<sleep_awaiter>::types);
}  // namespace

}  // namespace heddle::detail
