// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// What a fork_join keeps while its children run.
#pragma once

#include <heddle/core/task.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

enum class join_state : std::uint8_t { sound, failed, abandoned };

/// Protocol FORK
///   Danger   The parent of a fork must go on exactly once, after all its children have ended, and
///            these may end on any loop. A shared counter would cost each child a locked operation,
///            where a whole fork is worth 15 ns.
///   Remedy   One path of execution carries the token of the join. Children that end on it are
///            counted in `inline_done`, a plain integer. Only children that run elsewhere are
///            counted atomically, in `pending`.
///   Cost     `pending` is never touched while no child is stolen, no child suspends, and the turn
///            of forks (fork_state.h) lasts. Then a join costs no atomic read-modify-write.
///
/// The steps
///   start    The token starts with the first child, which runs at once by symmetric transfer. The
///            other children wait in the deque, the second at the bottom. If the turn of forks is
///            over there is no token: all children wait in the deque, and `count` is added to
///            `pending`.
///   end      When the child with the token ends, its thread adds one to `inline_done`. If that
///            makes `count`, the thread resumes the parent. Otherwise it pops. If it pops a
///            sibling, the sibling runs with the token.
///   spent    If it pops no sibling, the siblings are gone: stolen, or left in the deque of another
///            loop from which a suspended child moved away. The token is spent: the thread adds
///            `count` - `inline_done` to `pending`.
///   counted  A child that started without the token (stolen, or popped by a loop) subtracts one
///            from `pending` at its end.
///   resume   `pending` starts at 0. So once it was touched, it is 0 again exactly when the token
///            is spent and every counted child has ended. The thread that brings it to 0 resumes
///            the parent.
///
/// Failure
///   A join in which a child has failed skips the children that have not begun, and cancels the
///   others (protocol STRAND, strand_records.cpp). A strand that meets trouble at a fork looks up
///   the chain of joins for the failed one. If each of n nested joins looked up to the root, the
///   end of the chain would cost n * n steps. So a strand that finds a failed join marks the joins
///   on its way as abandoned, and the next look ends after one step: n steps for the chain. An
///   abandoned join cancels no strand. It throws cancelled_error if no child throws.
///
/// Who may touch what
///   inline_done   the thread that carries the token
///   pending       any thread that ends a counted child, or spends the token
///   state         any thread, by compare-exchange: from sound to failed or abandoned, once
///   all else      constant
struct join_block : frame_end {
  join_block(std::int32_t children, promise_base& waiting) noexcept
      : frame_end{&child_ended, &child_failed}, count(children), parent(&waiting) {}
  /// Children that are made on demand (join_range.h).
  join_block(std::int32_t children, promise_base& waiting,
             std::coroutine_handle<> (*range_child_ended)(promise_base&) noexcept) noexcept
      : frame_end{range_child_ended, &child_failed},
        count(children),
        on_demand(true),
        parent(&waiting) {}

  atomic<std::int32_t> pending{0};
  std::int32_t inline_done = 0;
  const std::int32_t count;
  atomic<join_state> state{join_state::sound};  // not sound: children not begun are skipped
  const bool on_demand = false;  // what stands in a deque is the entry of all children to come
  promise_base* const parent;

  /// Marks a child as counted. Called by every thread that takes a strand from a deque, except the
  /// one that carries the token.
  static void make_counted(promise_base& child) noexcept {
    child.continuation = std::noop_coroutine();
  }
  [[nodiscard]] static bool is_counted(const promise_base& child) noexcept {
    return static_cast<bool>(child.continuation);
  }
  static join_block& of(promise_base& child) noexcept {
    return static_cast<join_block&>(child.end.own());
  }

  /// One counted child has ended, or was skipped. Returns what to resume: the parent after the last
  /// child, else nothing.
  std::coroutine_handle<> counted_one() noexcept {
    // pairs with the same of other children, and with the spending of the token: next_or_parent()
    return pending.fetch_sub(1, acq_rel) == 1 ? resume_parent() : std::noop_coroutine();
  }
  [[nodiscard]] bool sound() const noexcept { return state.load(relaxed) == join_state::sound; }
  /// True: this join has failed, or one above it up to the next strand or task with a record. The
  /// strand that asks shall stop.
  [[nodiscard]] bool is_lost() noexcept;
  /// The parent goes on after a join that was not sound: takes back what the failure noted in the
  /// parent's word.
  void over() noexcept;
  /// Takes the cancellation that is due to `p`, if one is. True: one was due. A strand without a
  /// record takes a record first, and with it takes over the cancellation due to this strand alone.
  /// Throws std::bad_alloc.
  [[nodiscard]] static bool take_what_is_due(promise_base& p);

  /// Forks. Makes a block at `where`, and turns the tasks with these frames (at least one) into
  /// children of `waiting`. All but the first go to the deque of the calling loop. Returns what
  /// runs next: the first child, or the loop if the turn of forks is over. `where` has the tag of
  /// an end, which the caller adds to an address that it computes anyhow.
  ///
  /// Never inlined into the coroutine, since it reads a thread-local. Throws cancelled_error if a
  /// cancellation is due or a join above `waiting` has failed, and usage_error if the children were
  /// forked before; then nothing has changed.
  HEDDLE_NOINLINE static std::coroutine_handle<> start(call_or_end where, promise_base& waiting,
                                                       void* const* frames, std::size_t children);

  /// For joins that do not start by start(). Throws cancelled_error if a cancellation is due to
  /// `waiting`, or a join above it has failed.
  static void check_due(promise_base& waiting);

  std::coroutine_handle<> resume_parent() noexcept;
  static std::coroutine_handle<> child_ended(promise_base& child) noexcept;
  HEDDLE_COLD static std::coroutine_handle<> child_ended_otherwise(promise_base& child) noexcept;
  HEDDLE_COLD std::coroutine_handle<> next_or_parent(promise_base* next) noexcept;
  HEDDLE_COLD std::coroutine_handle<> resume_parent_at_home() noexcept;
  static void child_failed(promise_base& child) noexcept { of(child).fail(); }
  /// A child has failed: those that have not begun are skipped, the others cancelled.
  HEDDLE_COLD void fail() noexcept;
  /// Starts a strand that was taken from a deque. Returns what to resume: the child. If the join is
  /// not sound the child is skipped, and that may be the parent, or nothing. What stands for
  /// children on demand is resumed in any case: it skips all that it stands for.
  static std::coroutine_handle<> start_counted(promise_base& child) noexcept;
};

}  // namespace heddle::detail
