// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// What a fork_join keeps while its children run.
#pragma once

#include <heddle/core/task.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

enum class join_state : std::uint8_t { sound, failed, abandoned };

/// Protocol FORK. A join counts n children without an atomic operation as long as nothing is
/// stolen:
///
/// Exactly one path of execution carries the join's token. It starts with the first child, which
/// runs at once by symmetric transfer, while the others wait in the deque, the next at its bottom.
/// When the child with the token ends, its thread counts it in `inline_done` (plain) and pops: if
/// that yields a sibling, it runs with the token; if not, the siblings are gone (stolen, or left in
/// another loop's deque when a child suspended and moved), and the token is spent: n - inline_done
/// is added to `pending`. A child started in any other way (stolen, or popped by a loop) is
/// counted: it subtracts one from `pending` at its end. `pending` starts at 0, so it is 0 again
/// exactly when the token is spent and every counted child has ended; who brings it to 0 (or ends
/// the last child with the token) goes on with the parent. If nothing was stolen `pending` is never
/// touched.
///
/// A join in which a child failed skips what has not begun, and tells the rest (protocol STRAND,
/// task_record.cpp). A strand that finds a failed join further up marks the joins on its way as
/// abandoned. So the next look ends after one step, and not at the root: the end of a chain of n
/// joins costs n steps, and not n * n. An abandoned join has told nobody, and throws
/// cancelled_error if no child does.
struct join_block : frame_end {
  join_block(std::int32_t children, promise_base& waiting) noexcept
      : frame_end{&child_ended, &child_failed}, count(children), parent(&waiting) {}

  atomic<std::int32_t> pending{0};
  std::int32_t inline_done = 0;  // the token's carrier
  const std::int32_t count;
  atomic<join_state> state{join_state::sound};  // not sound: siblings not started are skipped
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

  /// One counted child has ended (or was skipped). Returns the parent, if it is the last, else
  /// nothing to do.
  std::coroutine_handle<> counted_one() noexcept {
    return pending.fetch_sub(1, acq_rel) == 1
               ? resume_parent()
               : std::noop_coroutine();  // pairs with the other children's
  }
  [[nodiscard]] bool sound() const noexcept { return state.load(relaxed) == join_state::sound; }
  /// This join, or one around it up to the next strand or task with a record, has failed: a strand
  /// that looks stops.
  [[nodiscard]] bool is_lost() noexcept;
  /// The parent goes on after a join that was not sound.
  void over() noexcept;
  /// `p` was stopped by a cancellation from above, or is to be: takes what is due to it. A strand
  /// without a record takes one before, and so takes over what is due to it alone. True: a
  /// cancellation was due. Throws std::bad_alloc.
  [[nodiscard]] static bool take_what_is_due(promise_base& p);

  /// Makes a block at `where`, and children of `waiting` of the tasks whose frames these are, one
  /// at least. All but the first wait in the deque of the calling loop. Returns what runs next: the
  /// first, or, when the turn is over, the loop. Never inlined into the coroutine, since it asks a
  /// thread-local. Throws cancelled_error for a cancellation that is due, or because a join around
  /// `waiting` has failed; then nothing has changed.
  HEDDLE_NOINLINE static std::coroutine_handle<> start(join_block* where, promise_base& waiting,
                                                       void* const* frames, std::size_t children);

  std::coroutine_handle<> resume_parent() noexcept;
  static std::coroutine_handle<> child_ended(promise_base& child) noexcept;
  HEDDLE_COLD static std::coroutine_handle<> child_ended_otherwise(promise_base& child) noexcept;
  HEDDLE_COLD std::coroutine_handle<> next_or_parent(promise_base* next) noexcept;
  HEDDLE_COLD std::coroutine_handle<> resume_parent_at_home() noexcept;
  static void child_failed(promise_base& child) noexcept;
  /// Starts a strand taken from a deque: what to resume (the child, or the parent if the child was
  /// skipped as the last).
  static std::coroutine_handle<> start_counted(promise_base& child) noexcept;
};

}  // namespace heddle::detail
