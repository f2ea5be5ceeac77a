// SPDX-License-Identifier: MIT
#include <heddle/io/servers/places.h>

#include <heddle/core/seeing/layout.h>

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

namespace heddle::detail {
namespace {
HEDDLE_ROW("heddle_kinds")
constexpr seeing::kind_row places_kinds[] = {
    {.type = "N6heddle6detail10place_waitE", .name = "max_connections"},
};
}  // namespace
}  // namespace heddle::detail
