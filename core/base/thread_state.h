// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// What a thread keeps for itself.
#pragma once

#include <heddle/core/base/runtime_number.h>
#include <heddle/core/memory/frame_depot.h>
#include <heddle/core/memory/magazine.h>
#include <heddle/core/record/eventual.h>

#include <cstdint>

namespace heddle::detail {

class context_slot;
class executor;
class task_record;

/// What the thread does just now: all that changes hands when one OS thread plays several virtual
/// ones (world.h).
struct thread_role {
  executor* loop = nullptr;             // the loop that this thread is, if it is one
  task_record* current = nullptr;       // the task whose code runs now, if any
  context_slot* context = nullptr;      // of a callback or context::run that is going on
  context_slot* own_context = nullptr;  // of a thread that set something outside of tasks
  void* forks = nullptr;                // the loop's fork_state (sched)
  bool forced_yields =
      false;  // this thread is one of several loops: a task that never waits is made to yield
  std::uint32_t ready_awaits = 0;  // counted by budget.h
  std::int64_t step_started =
      0;  // when the running step began (ns), for the budget; 0: not measured yet
  runtime_number runtime = 0;    // the runtime of that loop; 0: none
  bool drops_unstarted = false;  // see task.h
  const void* pool = nullptr;    // whose job runs here (sched)
  unsigned generators_let_go =
      0;  // so many let_go() of generators are going on, one inside the other
  class generator_base* generators_first = nullptr;  // those that the outermost of them lets go of
  class generator_base* generators_last = nullptr;
};

/// One a thread, zero at its start and without a destructor: reaching it costs one thread-local
/// load.
struct thread_state : thread_role {
  constexpr explicit thread_state(frame_depot& depot) noexcept : frames(depot) {}

  frame_cache frames;
  magazine<record_links> records;
};

/// The calling thread's state. Never inlined, see frame_allocate: no thread-local address may
/// survive a suspension.
HEDDLE_NOINLINE thread_state& this_thread() noexcept;

/// The same without a call, for functions of the library's own sources that stand in no coroutine
/// and are not inlined into one.
extern constinit thread_local thread_state self_of_thread [[gnu::visibility("hidden")]];

/// Arranges that the caches of the calling thread are given back when it ends: after the
/// destructors of all its thread-locals, and once more for what is freed later. Called from slow
/// paths. False: there is no memory for that; the caller must keep nothing in the caches.
[[nodiscard]] bool flush_caches_at_thread_exit() noexcept;

/// What threads give back, and take from each other: blocks for frames, and records.
frame_depot& process_frames() noexcept;
magazine_depot<record_links>& process_records() noexcept;

/// Before a fork, and after it on both sides: what all threads share to make frames and records is
/// locked by nobody else meanwhile, so that a child, in which a thread that held it would never let
/// it go, can run loops of its own.
void hold_caches() noexcept;
void let_go_caches() noexcept;

}  // namespace heddle::detail
