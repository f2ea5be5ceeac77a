// SPDX-License-Identifier: MIT
#include <heddle/io/servers/places.h>

namespace heddle::detail {

void places::give_back() noexcept {
  work_list todo;
  lock();
  --taken_;
  while (waiter* w = claim_first()) todo.schedule(*w->task);
  unlock();
  todo.settle();
}

HEDDLE_NOINLINE bool place_wait::suspend(task_record& t) noexcept {
  places_.lock();
  const bool waits = places_.taken_ == places_.most_ && places_.suspend(*this, t);
  places_.unlock();
  return waits;
}

}  // namespace heddle::detail
