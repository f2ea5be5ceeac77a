// SPDX-License-Identifier: MIT
// The part of a loop that fork_join touches: inline, since it is crossed by every fork.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/core/thread_state.h>
#include <heddle/sched/deque.h>

namespace heddle::detail {

extern template deque<promise_base*>::deque(std::size_t);
extern template deque<promise_base*>::~deque();
extern template deque<promise_base*>::buffer* deque<promise_base*>::make_room(std::int64_t);

struct fork_state {
  /// So long, and control goes back to the loop, that timers, I/O and what is ready get their turn.
  static constexpr duration turn = std::chrono::microseconds(50);
  /// That many of the smallest forks.
  static constexpr std::uint32_t most_per_turn = 2048;

  deque<promise_base*> strands;
  std::uint32_t per_turn = 64;  // forks; follows how long turns take (adapt)
  std::uint32_t budget = per_turn;
  const atomic<std::uint32_t>* hungry = nullptr;  // not 0: loops sleep that could steal
  bool alone = true;                              // one loop: nobody steals
  /// The youngest strand, or nullptr. Owner only.
  promise_base* pop() noexcept { return alone ? strands.pop_alone() : strands.pop(); }
  bool turn_over = false;  // the budget is spent: the loop looks at timers and I/O first

  /// A turn took so long. Forks are counted, since a look at the clock costs more than one, but what is promised is time: with a
  /// microsecond of work in each, a fixed number of 2048 kept timers waiting for 2 ms. A turn that was interrupted by the system makes the
  /// next ones too short, which the doubling soon repairs.
  void adapt(duration took) noexcept;
};

/// The fork state of the calling loop, or nullptr on a foreign thread. Never inlined, like all thread-local access.
HEDDLE_INLINE fork_state* this_fork_state() noexcept {
  return static_cast<fork_state*>(this_fork_state_address());
}

/// Protocol FORK. A join counts n children without an atomic operation as long as nothing is stolen:
///
/// Exactly one path of execution carries the join's token. It starts with the first child, which runs at once by symmetric transfer,
/// while the others wait in the deque, the next at its bottom. When the child with the token ends, its thread counts it in
/// `inline_done` (plain) and pops: if that yields a sibling, it runs with the token; if not, the siblings are gone (stolen, or left in
/// another loop's deque when a child suspended and moved), and the token is spent: n - inline_done is added to `pending`.
/// A child started in any other way (stolen, or popped by a loop) is counted: it subtracts one from `pending` at its end.
/// `pending` starts at 0, so it is 0 again exactly when the token is spent and every counted child has ended; who brings it to 0 (or
/// ends the last child with the token) goes on with the parent. If nothing was stolen `pending` is never touched.
struct join_block : frame_end {
  join_block(std::int32_t children, promise_base& waiting) noexcept
      : frame_end{&child_ended, &child_failed}, count(children), parent(&waiting) {}

  atomic<std::int32_t> pending{0};
  std::int32_t inline_done = 0;  // the token's carrier
  const std::int32_t count;
  atomic<bool> failed{false};  // a child failed: siblings not started are skipped
  promise_base* const parent;

  /// Marks a child as counted; whoever takes a strand from a deque, but for the token's carrier.
  static void make_counted(promise_base& child) noexcept {
    child.continuation = std::noop_coroutine();
  }
  [[nodiscard]] static bool is_counted(const promise_base& child) noexcept {
    return static_cast<bool>(child.continuation);
  }
  static join_block& of(promise_base& child) noexcept {
    return *static_cast<join_block*>(child.end);
  }

  /// One counted child has ended (or was skipped). Returns the parent, if it is the last, else nothing to do.
  std::coroutine_handle<> counted_one() noexcept {
    return pending.fetch_sub(1, acq_rel) == 1
               ? resume_parent()
               : std::noop_coroutine();  // pairs with the other children's
  }
  /// Some join around `p` has failed: a strand that looks stops.
  [[nodiscard]] static bool abandoned(promise_base& p) noexcept;

  std::coroutine_handle<> resume_parent() noexcept;
  static std::coroutine_handle<> child_ended(promise_base& child) noexcept;
  static void child_failed(promise_base& child) noexcept;
  /// Starts a strand taken from a deque: what to resume (the child, or the parent if the child was skipped as the last).
  static std::coroutine_handle<> start_counted(promise_base& child) noexcept;
};

}  // namespace heddle::detail
