// SPDX-License-Identifier: MIT
#include <heddle/sync/event.h>

#include <heddle/core/seeing/layout.h>

#include <array>
#include <typeinfo>

namespace heddle {

using namespace detail;

bool event::wait_in(waiter& w, task_record& t) noexcept {
  waiters_.lock();
  // set() raises the flag under this lock. So either this second look sees the flag, or set() finds
  // the waiter linked.
  const bool waits = !is_set() && waiters_.suspend(w, t);
  waiters_.unlock();
  return waits;
}

void event::set() noexcept {
  work_list todo;
  waiters_.lock();
  // pairs with is_set()
  set_.store(true, release);
  while (waiter* next = waiters_.claim_first()) {
    next->given = true;
    todo.schedule(*next->task);
  }
  waiters_.unlock();
  todo.settle();  // after the unlock: the event may live in the frame of a task that goes on
}

}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<event> {
  using waiting = operation<event::waiting>;
  static constexpr seeing::root_row types[] = {
      {"=event", &typeid(operation<event::waiting>)},
  };
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9operationINS_5event*",
       .name = "event",
       .object = {offsetof(waiting, what_), sizeof(event)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds") constexpr auto event_kinds = std::to_array(layout_of<event>::kinds);
HEDDLE_ROW("heddle_roots") constexpr auto event_roots = std::to_array(layout_of<event>::types);
}  // namespace

}  // namespace heddle::detail
