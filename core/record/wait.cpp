// SPDX-License-Identifier: MIT
#include <heddle/core/record/wait.h>

#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>

#include <array>
#include <string>
#include <typeinfo>

namespace heddle::detail {

void waiter::throw_awaited_again() {
  throw_usage("co_await of an operation that has waited before: call the function again");
}

void wait_queue::leave(waiter& w) noexcept {
  lock();
  if (w.linked) unlink(w);
  unlock();
}

void wait_list::destroyed_too_early() const noexcept {
  std::string who;
  for (const waiter* w = head_; w; w = w->next)
    if (w->task)
      who += (who.empty() ? ": " : "; ") + describe_task(*w->task) + ", waits in " +
             static_cast<const wait_base*>(w)->name();
  assertion_failed("!head_", __FILE__, __LINE__,
                   ("a primitive was destroyed while tasks wait in it" + who).c_str());
}

bool join_wait::suspend(task_record& t) noexcept {
  task_ = &t;
  t.waits_in(this);
  if constexpr (notes_places) {
    const std::uint64_t place = t.place_bits();
    place_low_ = static_cast<std::uint32_t>(place);
    place_high_ = static_cast<std::uint16_t>(place >> 32);
  }
  bool forward = false;
  work_list todo;
  // Under the target's joiner lock: the word first, then the link. A cancellation that is due goes
  // on to the target, and the task waits all the same. Its word is frozen then, so nobody resumes
  // the task until it has forwarded the cancellation itself.
  const bool linked = target_->add_joiner(*this, [&] {
    forward = !t.state().begin_forwarding();
    return true;
  });
  if (!linked) {
    task_ = nullptr;
    return false;
  }
  if (forward) {
    todo.forward_self(t);
    todo.settle();
  }
  return true;
}

void join_wait::fired(join_node& node, eventual&, work_list& todo) noexcept {
  auto& self = static_cast<join_wait&>(node);
  if (self.task_->state().claim() == on_wake::schedule) todo.schedule(*self.task_);
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<join_wait> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9join_waitE",
       .name = "await",
       .target = offsetof(join_wait, target_),
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {

// Behind it a leaf wait has what it waits in.
HEDDLE_ROW("heddle_fields") constexpr seeing::field_row waiter_row{"waiter", 0, sizeof(waiter)};
HEDDLE_ROW("heddle_kinds") constexpr auto wait_kinds = std::to_array(layout_of<join_wait>::kinds);

// A class with one base, and one with more: from these a reader learns how the program's C++
// library marks the two.
HEDDLE_ROW("heddle_roots")
constexpr seeing::root_row type_roots[] = {
    {"type_with_one_base", &typeid(queue_waiter)},
    {"type_with_bases", &typeid(join_wait)},
    {"=await", &typeid(join_wait)},
};

}  // namespace

}  // namespace heddle::detail
