// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The seam for threads and time: what a simulated program runs on instead of the machine. One
// thread of the machine plays all threads of the program, one after the other. The library asks the
// world, if there is one, wherever it waits, spins, or needs the time, and at points where it
// matters that another thread overtakes the caller. Outside of a simulation each question is one
// load of a word that nobody writes.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>
#include <heddle/core/base/time_types.h>

#include <cstdint>

namespace heddle::detail {

class task_record;

/// What becomes of a blocked virtual thread when nothing can ever happen again.
enum class when_stuck {
  throws,     // block() throws an error that says which task waits for what
  abandoned,  // the caller cannot throw: the whole world is left as it stands
};

/// Implemented by sched's simulation. All functions are called on a virtual thread of that world.
class world {
 public:
  virtual time_point now() noexcept = 0;
  /// Another virtual thread may run here, for as long as it likes. The caller holds no lock of the
  /// machine (std::mutex). It may hold a spin lock: a virtual thread that waits for one calls
  /// pass().
  virtual void point() noexcept = 0;
  /// The same before an atomic operation, in a build over simulated atomics. True: a
  /// compare-exchange shall fail here for no reason.
  virtual bool atomic_point() noexcept = 0;
  /// The caller can do nothing until another virtual thread has done something: the others run
  /// first.
  virtual void pass() noexcept = 0;
  /// Blocks the calling virtual thread until `ready(argument)` is true, or until `deadline`: then
  /// it returns false. The world calls `ready` whenever it chooses which virtual thread runs.
  virtual bool block(bool (*ready)(void*), void* argument, time_point deadline,
                     when_stuck then) = 0;
  /// Asked at each ready await. True: the task stands back, as if its step had taken long.
  virtual bool stands_back() noexcept = 0;
  /// The number of a task. It gets one when it is made, or seen for the first time.
  virtual std::uint64_t number_of(const task_record& t) noexcept = 0;

 protected:
  ~world() = default;
};

/// How many worlds there are in the process. Not a detail::atomic, since simulated atomics
/// themselves ask for the world.
inline constinit plain_atomic<std::uint32_t> worlds{0};

/// The world of which the caller is a virtual thread, or nullptr. Never inlined, like all access to
/// thread-locals.
HEDDLE_NOINLINE world* world_of_this_thread() noexcept;
void set_world_of_this_thread(world* w) noexcept;

/// The same, for hot paths: one load when nothing is simulated.
HEDDLE_INLINE world* this_world() noexcept {
  return worlds.load(relaxed) == 0 ? nullptr : world_of_this_thread();
}

/// A point where it makes a difference which thread is first. The caller holds no lock of the
/// machine.
HEDDLE_INLINE void overtaking_point() noexcept {
  if (world* w = this_world()) [[unlikely]]
    w->point();
}

/// Lets other threads run. A thread that spins for long calls it between two looks.
HEDDLE_COLD void yield_thread() noexcept;

/// Blocks until `ready()`. Only inside a world.
template <class Ready>
bool block_until(world& w, time_point deadline, Ready ready, when_stuck then = when_stuck::throws) {
  return w.block([](void* r) { return (*static_cast<Ready*>(r))(); }, &ready, deadline, then);
}

}  // namespace heddle::detail
