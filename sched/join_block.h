// SPDX-License-Identifier: MIT
// What a fork_join keeps while its children run.
#pragma once

#include <heddle/core/task.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

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

  /// Makes a block at `where`, and children of `waiting` of the tasks whose frames these are, one at least. All but the first wait in the
  /// deque of the calling loop. Returns what runs next: the first, or, when the turn is over, the loop. Never inlined into the coroutine,
  /// since it asks a thread-local. Throws cancelled_error for a cancellation that is due, or because a join around `waiting` has failed;
  /// then nothing has changed.
  HEDDLE_NOINLINE static std::coroutine_handle<> start(join_block* where, promise_base& waiting,
                                                       void* const* frames, std::size_t children);

  std::coroutine_handle<> resume_parent() noexcept;
  static std::coroutine_handle<> child_ended(promise_base& child) noexcept;
  HEDDLE_COLD static std::coroutine_handle<> child_ended_otherwise(promise_base& child) noexcept;
  HEDDLE_COLD std::coroutine_handle<> next_or_parent(promise_base* next) noexcept;
  HEDDLE_COLD std::coroutine_handle<> resume_parent_at_home() noexcept;
  static void child_failed(promise_base& child) noexcept;
  /// Starts a strand taken from a deque: what to resume (the child, or the parent if the child was skipped as the last).
  static std::coroutine_handle<> start_counted(promise_base& child) noexcept;
};

}  // namespace heddle::detail
