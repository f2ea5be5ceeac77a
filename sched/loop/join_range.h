// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// What a fork_join keeps whose children are made on demand.
//
// Problem   The children of a wide fork are all made before the first one runs. So many frames are
//           there at one time, and none lies where the one before it lay.
// Chosen    Protocol RANGE. One entry of the deque stands for all children that have not begun.
//           Whoever takes it makes the next child, puts the entry back, and runs that child. The
//           entry is a small coroutine of its own, so the deque and its thieves need not know it.
// Costs     One frame for the entry, where there is more than one child. While the token lasts a
//           child does no atomic operation. Once it is spent (the entry was stolen, the turn of
//           forks was over, a child suspended) each child does one. An entry that stands alone in
//           its deque is stolen by expose() (deque.h), which costs the thief some microseconds.
// Rejected  Halves that split on and on, as in parallel_for_each: a frame for each split, and as
//           many as there are children.
//
// Protocol RANGE, on top of FORK (join_block.h)
//   Danger    Two threads could make the same child. They could call the function at one time, and
//             it knows nothing of threads. A child could be counted twice, or not at all.
//   Entry     The entry is in one place: in one deque, or in the hands of one thread. What belongs
//             to it (`next`, the function, the mark) is its holder's, and is handed on with it: a
//             push of a deque is seen by whoever takes the item. So the function is called for one
//             index after the other, by one thread at a time.
//   Token     As in FORK: the path of the first child carries the token and counts what ends on it
//             in `inline_done`. If it pops the entry, the next child is on its path. If not, the
//             entry is elsewhere: the token is spent, and all that has not ended there is counted.
//             It is spent at the end of a turn of forks, too, which each child brings nearer.
//   Counted   Whoever takes the entry otherwise (start_counted) marks it. The holder moves the mark
//             to the child that it makes, and takes it from the entry: the path with the token may
//             take the entry again from the same deque, and its children must not be marked. A
//             counted child that ends where the entry stands hands its mark on to the next one.
//   Rest      In a join that is not sound the holder makes no more children. It counts all that
//             remain at once, and the entry is in no deque any more.
//   Life      The holder touches neither the entry nor the join once it has pushed the entry, but
//             for the child that it has made and not begun: until that ends the parent waits.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/sched/loop/join_block.h>
#include <heddle/sched/loop/join_errors.h>

#include <coroutine>
#include <cstdint>
#include <exception>

namespace heddle::detail {

struct fork_state;

/// The part that knows neither the children's type nor the function that makes them.
//
// entry_, next_              the holder of the entry
// first_, first_cancelled_   under lock_
class join_range : public join_block {
 public:
  using ended_function = std::coroutine_handle<> (*)(promise_base& child) noexcept;
  using entry_function = promise_base& (*)(join_range& join);  // makes its frame, or throws

  join_range(std::int32_t children, promise_base& waiting, ended_function child_ended,
             entry_function make_entry) noexcept
      : join_block(children, waiting, child_ended), make_entry_(make_entry) {}

  /// Throws the first failure in the order of the children.
  [[noreturn]] HEDDLE_COLD void raise();

 protected:
  struct held {
    std::int32_t index;  // of the child that is to be made; negative: there is none
    bool counted;
    std::coroutine_handle<> instead;  // then this is what to run
  };
  // All of these read a thread-local, or may: never inlined, since a coroutine calls step().

  /// The holder of the entry looks what it has to do.
  [[nodiscard]] held take() noexcept;
  /// `child` was made: puts the entry back, and yields the child.
  [[nodiscard]] std::coroutine_handle<> begin(promise_base& child, held now) noexcept;
  /// No child could be made at this index.
  [[nodiscard]] HEDDLE_COLD std::coroutine_handle<> not_made(const held& now,
                                                             std::exception_ptr e) noexcept;
  [[nodiscard]] static std::int32_t index_of(const promise_base& child) noexcept {
    return static_cast<std::int32_t>(mark_of(child) / 2);
  }
  /// The child at `index` has failed, or its result could not be kept.
  HEDDLE_COLD void note(std::int32_t index, std::exception_ptr e) noexcept;
  [[nodiscard]] static bool is_counted_child(const promise_base& child) noexcept {
    return (mark_of(child) & 1) != 0;
  }
  /// A child has ended. Called before its frame is freed.
  void leave(promise_base& child) noexcept {
    if ((child.record & promise_base::strand_tag) == 0) [[unlikely]]
      leave_record(child);
  }
  /// It is counted. As take(), if the entry is here.
  [[nodiscard]] held next_after(bool counted) noexcept;

 private:
  static std::uintptr_t mark_of(const promise_base& child) noexcept {
    return reinterpret_cast<std::uintptr_t>(child.continuation.address());
  }
  [[nodiscard]] held take_now(fork_state& f, bool counted) noexcept;
  void enter();
  HEDDLE_COLD void leave_record(promise_base& child) noexcept;
  [[nodiscard]] HEDDLE_COLD bool make_room_again(bool counted) noexcept;
  [[nodiscard]] HEDDLE_COLD std::coroutine_handle<> skip_rest(bool counted) noexcept;
  [[nodiscard]] HEDDLE_COLD std::coroutine_handle<> end_turn(bool counted) noexcept;
  [[nodiscard]] HEDDLE_COLD held other_next(fork_state& f, promise_base* popped,
                                            bool counted) noexcept;
  [[nodiscard]] std::coroutine_handle<> spend_token() noexcept;

  struct failure {
    std::int32_t index = -1;
    std::exception_ptr error;
  };

  const entry_function make_entry_;
  promise_base* entry_ = nullptr;  // made when it is needed: not for one child
  std::int32_t next_ = 0;
  spin_lock lock_;
  failure first_, first_cancelled_;
};

/// Awaited by the entry's frame: makes the next child.
template <class Children>
struct next_child {
  Children& all;
  static bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<>) noexcept { return all.step(); }
  static void await_resume() noexcept {}
};

/// The entry. It is resumed by whoever takes it from a deque, and never ends by itself.
template <class Children>
task<> entry_of(Children& all) {
  for (;;) co_await next_child<Children>{all};
}

/// `Make` yields a task<T> for an index. `Into` has put(index, promise), which takes the result.
template <class T, class Make, class Into>
class range_children final : public join_range {
 public:
  range_children(std::int32_t children, promise_base& waiting, Make& make, Into& into) noexcept
      : join_range(children, waiting, &ended, &make_entry), make_(make), into_(into) {}

  /// Of the holder of the entry. Returns what to run.
  /// Never inlined: the entry is a coroutine, and must have nothing of this in its frame.
  HEDDLE_NOINLINE std::coroutine_handle<> step() noexcept { return go_on(take()); }

 private:
  std::coroutine_handle<> go_on(const held now) noexcept {
    if (now.index < 0) [[unlikely]]
      return now.instead;
    task<T> child;
    try {
      child = make_(static_cast<std::size_t>(now.index));
      check_fork_children(child);
      if (child.frame().promise().end.bits() != 0) throw_fork_of_awaited_task();  // by a fork
    } catch (...) {
      auto e = std::current_exception();
      child = task<T>();  // before the parent may go on
      return not_made(now, std::move(e));
    }
    return begin(child.release().promise(), now);
  }
  static std::coroutine_handle<> ended(promise_base& child) noexcept {
    auto& self = static_cast<range_children&>(child.end.own());
    auto& p = static_cast<task_promise<T>&>(child);
    const auto index = index_of(child);
    if (p.result.how() == outcome::error) [[unlikely]] {
      self.note(index, std::move(p.result.error()));
    } else {
      try {
        self.into_.put(static_cast<std::size_t>(index), p);
      } catch (...) {
        self.note(index, std::current_exception());
        self.fail();
      }
    }
    const bool counted = is_counted_child(child);
    self.leave(child);
    std::coroutine_handle<task_promise<T>>::from_promise(p).destroy();
    return self.go_on(self.next_after(counted));
  }

  static promise_base& make_entry(join_range& join) {
    auto& self = static_cast<range_children&>(join);
    self.entry_ = entry_of(self);
    return self.entry_.frame().promise();
  }

  Make& make_;
  Into& into_;
  task<> entry_;
};

}  // namespace heddle::detail
