// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// What a thread keeps for itself: what it does just now, and its caches.
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

/// What the thread does just now. When one thread of the machine plays several virtual ones
/// (world.h) each virtual thread has its own.
struct thread_role {
  executor* loop = nullptr;             // the loop that this thread is, if it is one
  task_record* current = nullptr;       // the task whose code runs now, if any
  context_slot* context = nullptr;      // of the callback or context::run that is going on
  context_slot* own_context = nullptr;  // of a foreign thread that has set a context variable
  void* forks = nullptr;                // the loop's fork_state (sched)
  // This thread is one of several loops: a task that never waits is made to yield.
  bool forced_yields = false;
  std::uint32_t ready_awaits = 0;  // counted by budget.cpp
  // When the running step began (ns), for the budget; 0: not measured yet.
  std::int64_t step_started = 0;
  runtime_number runtime = 0;    // the runtime of `loop`; 0: none
  bool drops_unstarted = false;  // see drops_unstarted in task.h
  const void* pool = nullptr;    // the thread pool whose job runs here (sched)
  // So many calls of let_go() of generators are going on, one inside the other; and the generators
  // that the outermost of these calls closes (sched).
  unsigned generators_let_go = 0;
  class generator_base* generators_first = nullptr;
  class generator_base* generators_last = nullptr;
};

/// There is one for each thread. It begins as constants and has no destructor, so reaching it costs
/// one thread-local load. Only its thread touches it.
struct thread_state : thread_role {
  constexpr explicit thread_state(frame_depot& depot) noexcept : frames(depot) {}

  frame_cache frames;
  magazine<record_links> records;
};

/// The calling thread's state. Never inlined: a coroutine may resume on another thread, and an
/// inlined access could keep the thread-local's address across the suspension.
HEDDLE_NOINLINE thread_state& this_thread() noexcept;

/// The same without a call, for functions of the library's own sources that stand in no coroutine
/// and are not inlined into one. Hidden, so that the compiler reaches it relative to the thread
/// pointer from every source, and not through a table.
extern constinit thread_local thread_state self_of_thread [[gnu::visibility("hidden")]];

/// Arranges that the caches of the calling thread are flushed when it ends: after the destructors
/// of all its thread-locals, and once more for what is freed later. Called from slow paths. False:
/// there is no memory for that, so the caller must keep nothing in the caches.
[[nodiscard]] bool flush_caches_at_thread_exit() noexcept;

/// The depots of the process: blocks for frames, and records.
frame_depot& process_frames() noexcept;
magazine_depot<record_links>& process_records() noexcept;

/// Around a fork of the process. A child has none of the other threads, so a depot that one of them
/// held at that moment would stay locked in it for ever. hold_caches() locks the depots before the
/// fork; let_go_caches() unlocks them after it, on both sides. So the child can run loops of its
/// own.
void hold_caches() noexcept;
void let_go_caches() noexcept;

}  // namespace heddle::detail
