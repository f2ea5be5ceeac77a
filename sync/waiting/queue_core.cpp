// SPDX-License-Identifier: MIT
#include <heddle/sync/waiting/queue_core.h>

#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>

#include <algorithm>
#include <array>
#include <string>

namespace heddle::detail {

std::size_t queue_core::size() const noexcept {
  const hold locked(*this);
  return size_.load(relaxed);
}

bool queue_core::is_shut_down() const noexcept {
  const hold locked(*this);
  return shut_down_;
}

bool queue_core::all_done() const noexcept {
  const hold locked(*this);
  return unfinished_ == 0;
}

bool queue_core::turn::wait_among(wait_queue& others, std::uint64_t& tickets,
                                  task_record& t) noexcept {
  waiter* place = nullptr;
  if constexpr (notes_places) t.put_place_bits(place_);
  if (!has_waited()) {
    ticket_ = ++tickets;
    t.looks_first();
  } else {
    given = false;
    place = others.first();
    while (place && static_cast<turn*>(place)->ticket_ < ticket_) place = place->next;
  }
  return others.suspend(*this, t, place);
}

void queue_core::turn::rethrow() {
  std::exception_ptr error = std::move(error_);
  std::destroy_at(&error_);
  std::rethrow_exception(std::move(error));
}

void queue_core::throw_reason(turn& w, side of) {
  switch (w.how_) {
    case turn::how::shut_down: throw_shut_down(of == side::getters ? "get" : "put");
    case turn::how::turned_off: throw queue_shut_down();
    case turn::how::failed: pass_on(of); w.rethrow();
    case turn::how::open:
    case turn::how::done: break;
  }
  if (w.given) pass_on(of);
  throw_cancelled(*w.task);
}

bool queue_core::wait_join(waiter& w, task_record& t) noexcept {
  const hold locked(*this);
  return unfinished_ != 0 && joiners_.suspend(w, t);
}

void queue_core::leave(waiter& w, side of) noexcept {
  const hold locked(*this);
  if (w.linked) (of == side::getters ? getters_ : putters_).unlink(w);
}

void queue_core::leave_join(waiter& w) noexcept {
  const hold locked(*this);
  if (w.linked) joiners_.unlink(w);
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
  size_.store(size_.load(relaxed) - dropped, relaxed);
  // task_done() may have been called for some of the dropped items before they were got.
  unfinished_ -= std::min(unfinished_, dropped);
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

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<queue_core> {
  using join = operation<queue_core::joining>;
  // Getters and putters are templates: a turn, and then the reference to the queue.
  static constexpr std::uint16_t behind_turn = sizeof(queue_core::turn);
  static constexpr seeing::root_row types[] = {
      {"=queue", &typeid(queue_core::turn)},
      {"=queue.join", &typeid(join)},
  };
  static constexpr seeing::field_row rows[] = {
      {"queue_turn", 0, sizeof(queue_core::turn)},
      // The last member of a turn.
      {"queue_turn.ticket", behind_turn - sizeof(std::uint64_t), sizeof(std::uint64_t)},
  };
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail11basic_queueI*7puttingE",
       .name = "queue.put",
       .text = " %0{/%1}",
       .figures = {{behind_turn, offsetof(queue_core, size_), 8},
                   {behind_turn, offsetof(queue_core, max_size_), 8}},
       .object = {behind_turn, sizeof(queue_core)},
       .ended_by = seeing::kind_row::tasks},
      {.type = "N6heddle6detail11basic_queueI*7gettingE",
       .name = "queue.get",
       .text = " %0{/%1}",
       .figures = {{behind_turn, offsetof(queue_core, size_), 8},
                   {behind_turn, offsetof(queue_core, max_size_), 8}},
       .object = {behind_turn, sizeof(queue_core)},
       .ended_by = seeing::kind_row::tasks},
      {.type = "N6heddle6detail9operationINS0_10queue_core*",
       .name = "queue.join",
       .text = " %0 unfinished",
       .figures = {{offsetof(join, what_), offsetof(queue_core, unfinished_), 8}},
       .object = {offsetof(join, what_), sizeof(queue_core)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_fields")
constexpr auto queue_core_fields = std::to_array(layout_of<queue_core>::rows);
HEDDLE_ROW("heddle_kinds")
constexpr auto queue_core_kinds = std::to_array(layout_of<queue_core>::kinds);
HEDDLE_ROW("heddle_roots")
constexpr auto queue_core_roots = std::to_array(layout_of<queue_core>::types);
}  // namespace

}  // namespace heddle::detail
