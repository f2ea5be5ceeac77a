// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/join_range.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>
#include <heddle/core/record/strand_records.h>
#include <heddle/sched/loop/fork_state.h>

#include <utility>

namespace heddle::detail {

void join_range::enter() {
  auto& frame = make_entry_(*this);
  frame.record = parent->record | promise_base::strand_tag;
  frame.end.ends_by(*this);
  entry_ = &frame;
}

HEDDLE_INLINE join_range::held join_range::take_now(fork_state& f, bool counted) noexcept {
  if (!sound()) [[unlikely]]
    return {-1, counted, skip_rest(counted)};
  const bool turn_ends = f.budget == 1;
  const bool has_entry = entry_ != nullptr || (count == 1 && !turn_ends);
  if (!has_entry || !f.strands.has_room(1)) [[unlikely]] {
    try {
      if (!has_entry) enter();
      f.strands.make_room(1);
    } catch (const std::bad_alloc&) {
      return {-1, counted, not_made({next_++, counted, {}}, std::current_exception())};
    }
  }
  if (turn_ends) [[unlikely]]
    return {-1, counted, end_turn(counted)};
  --f.budget;
  return {next_++, counted, {}};
}

HEDDLE_NOINLINE join_range::held join_range::take() noexcept {
  const bool counted = entry_ != nullptr && is_counted(*entry_);
  if (entry_) entry_->continuation = nullptr;
  return take_now(forks_here(), counted);
}

HEDDLE_NOINLINE std::coroutine_handle<> join_range::begin(promise_base& child, held now) noexcept {
  child.record = parent->record | promise_base::strand_tag;
  child.end.ends_by(*this);
  const auto mark = 2 * static_cast<std::uintptr_t>(now.index) + (now.counted ? 1 : 0);
  child.continuation = std::coroutine_handle<>::from_address(reinterpret_cast<void*>(mark));
  if (next_ == count) return child.handle();
  fork_state& f = forks_here();
  // take() has seen to the room, but what makes children may begin tasks that fork.
  if (!f.strands.has_room(1) && !make_room_again(now.counted)) [[unlikely]]
    return child.handle();
  f.strands.put(0, entry_);
  f.strands.put_down(1);  // from here on others may have the entry
  // An entry that stands alone is left private unless a loop sleeps: it would be published for each
  // child, and taken back by a locked operation. A thief that finds nothing else exposes it.
  const bool hungry = f.hungry->load(relaxed) != 0;
  if (hungry || (f.strands.wants_publishing() && f.strands.size() > 1)) [[unlikely]] {
    f.strands.publish(hungry);
    if (hungry) f.wake_thief(*f.owner);
  }
  return child.handle();
}

// False: there is no memory. The child that was made runs, and the rest is skipped. `pending`
// cannot come to 0 here, since that child has not begun.
bool join_range::make_room_again(bool counted) noexcept {
  try {
    forks_here().strands.make_room(1);
    return true;
  } catch (const std::bad_alloc&) { note(next_, std::current_exception()); }
  fail();
  const std::int32_t rest = count - std::exchange(next_, count);
  if (counted)
    // pairs with counted_one()
    pending.fetch_sub(rest, acq_rel);
  else
    inline_done += rest;
  return false;
}

std::coroutine_handle<> join_range::not_made(const held& now, std::exception_ptr e) noexcept {
  note(now.index, std::move(e));
  fail();
  --next_;  // it counts among the rest
  return skip_rest(now.counted);
}

// The turn of forks is over: the loop serves timers, I/O and the queues first. What comes then is
// counted.
std::coroutine_handle<> join_range::end_turn(bool counted) noexcept {
  fork_state& f = forks_here();
  f.budget = f.per_turn;
  f.turn_over = true;
  // The token is spent. `pending` cannot come to 0 here: a child has not begun.
  // pairs with counted_one()
  if (!counted) pending.fetch_add(count - inline_done, acq_rel);
  f.strands.push(entry_);  // there is room
  const bool hungry = f.hungry->load(relaxed) != 0;
  if (hungry || f.strands.wants_publishing()) f.strands.publish(hungry);
  if (hungry) f.wake_thief(*f.owner);
  return std::noop_coroutine();
}

std::coroutine_handle<> join_range::skip_rest(bool counted) noexcept {
  const std::int32_t rest = count - std::exchange(next_, count);
  if (counted)
    // pairs with counted_one()
    return pending.fetch_sub(rest, acq_rel) == rest ? resume_parent() : std::noop_coroutine();
  inline_done += rest;
  return inline_done == count ? resume_parent() : spend_token();
}

std::coroutine_handle<> join_range::spend_token() noexcept {
  const std::int32_t elsewhere = count - inline_done;
  // pairs with counted_one()
  return pending.fetch_add(elsewhere, acq_rel) == -elsewhere ? resume_parent()
                                                             : std::noop_coroutine();
}

// The strand has taken a record of its own.
void join_range::leave_record(promise_base& child) noexcept {
  this_thread().current = &parent->enclosing();
  strand_records::retire(child.enclosing());
}

HEDDLE_NOINLINE join_range::held join_range::next_after(bool counted) noexcept {
  if (!counted && ++inline_done == count) return {-1, false, resume_parent()};
  fork_state& f = forks_here();
  promise_base* next = nullptr;
  if (!f.strands.pop_private(next) || next != entry_) [[unlikely]]
    return other_next(f, next, counted);
  // `pending` cannot come to 0 here: with the entry in hand, a child is not counted yet.
  // pairs with counted_one()
  if (counted) pending.fetch_sub(1, acq_rel);
  return take_now(f, counted);
}

join_range::held join_range::other_next(fork_state& f, promise_base* popped,
                                        bool counted) noexcept {
  if (!popped && !counted) popped = f.strands.pop();  // a public one
  if (popped && popped == entry_) return take_now(f, counted);
  if (popped) {  // of another join: the child had suspended, and came to its end on another loop
    f.strands.push(popped);
    if (f.strands.wants_publishing()) f.strands.publish(false);
  }
  return {-1, counted, counted ? counted_one() : spend_token()};
}

void join_range::note(std::int32_t index, std::exception_ptr e) noexcept {
  std::exception_ptr dropped;  // freed without the lock
  lock_.lock();
  auto& first = is_cancellation(e) ? first_cancelled_ : first_;
  if (first.index < 0 || index < first.index) {
    first.index = index;
    dropped = std::exchange(first.error, std::move(e));
  }
  lock_.unlock();
}

void join_range::raise() {
  join_errors errors;
  for (auto* each : {&first_, &first_cancelled_})
    if (each->error) errors.see(each->error);
  errors.raise(*this);
}

}  // namespace heddle::detail
