// SPDX-License-Identifier: MIT
#include <heddle/sync/latch.h>

#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>

#include <array>
#include <string>
#include <typeinfo>

namespace heddle {

using namespace detail;

namespace {
std::ptrdiff_t checked(std::ptrdiff_t count) {
  if (count < 0) throw bad_value("a latch of " + std::to_string(count) + ": it must be 0 or more");
  return count;
}
}  // namespace

latch::latch(std::ptrdiff_t count) : left_(checked(count)), open_(count == 0) {}

void latch::count_down(std::ptrdiff_t by) {
  auto left = left_.load(relaxed);
  do {
    if (by < 0 || by > left)
      throw_bad_value("count_down by " + std::to_string(by) + " of a latch that has " +
                      std::to_string(left) + " left");
    // pairs with the other count_down() calls: the last one sees what all did before theirs
  } while (!left_.compare_exchange_weak(left, left - by, acq_rel, relaxed));
  if (left == by && by != 0) open();
}

void latch::open() noexcept {
  work_list todo;
  waiters_.lock();
  // pairs with try_wait()
  open_.store(true, release);
  while (waiter* next = waiters_.claim_first()) {
    next->given = true;
    todo.schedule(*next->task);
  }
  waiters_.unlock();
  todo.settle();  // after the unlock: the latch may live in the frame of a task that goes on
}

bool latch::wait_in(waiter& w, task_record& t) noexcept {
  waiters_.lock();
  const bool waits = !try_wait() && waiters_.suspend(w, t);
  waiters_.unlock();
  return waits;
}

}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<latch> {
  using waiting = operation<latch::waiting>;
  static constexpr seeing::root_row types[] = {
      {"=latch", &typeid(operation<latch::waiting>)},
  };
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9operationINS_5latch*",
       .name = "latch",
       .text = " %0 left",
       .figures = {{offsetof(waiting, what_), offsetof(latch, left_), 8}},
       .object = {offsetof(waiting, what_), sizeof(latch)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds") constexpr auto latch_kinds = std::to_array(layout_of<latch>::kinds);
HEDDLE_ROW("heddle_roots") constexpr auto latch_roots = std::to_array(layout_of<latch>::types);
}  // namespace

}  // namespace heddle::detail
