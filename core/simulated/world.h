// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The seam for threads and time: what a simulated program runs on instead of the machine. One OS
// thread plays all threads of the program, one after the other; wherever the library waits, spins,
// asks for the time, or could be overtaken by another thread at a point that matters, it asks the
// world, if there is one. Outside of a simulation each question is one load of a word that nobody
// writes.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>
#include <heddle/core/base/time_types.h>

#include <cstdint>

namespace heddle::detail {

class task_record;

/// What becomes of who waits when nothing can ever happen again.
enum class when_stuck {
  throws,     // out of block(), with an error that says who waits for what
  abandoned,  // it cannot throw here: the whole world is left as it stands
};

/// Implemented by sched's simulation. All functions are called on a virtual thread of that world.
class world {
 public:
  virtual time_point now() noexcept = 0;
  /// Another virtual thread may run here, for as long as it likes. The caller holds no lock of the
  /// machine's (std::mutex); a spin lock is allowed, since who waits for one passes.
  virtual void point() noexcept = 0;
  /// The same, before an atomic operation, in a build over simulated atomics. True: a
  /// compare-exchange may fail for no reason here.
  virtual bool atomic_point() noexcept = 0;
  /// The caller can do nothing until another one has done something: the others run first.
  virtual void pass() noexcept = 0;
  /// Blocks the calling virtual thread until `ready(argument)`, which is looked at whenever the
  /// world looks for somebody to run, or until `deadline`: then false.
  virtual bool block(bool (*ready)(void*), void* argument, time_point deadline,
                     when_stuck then) = 0;
  /// A step that awaits what is ready: is it to stand back for others, as if it had taken long?
  virtual bool stands_back() noexcept = 0;
  /// A task was made, or is seen for the first time: gives it its number.
  virtual std::uint64_t number_of(const task_record& t) noexcept = 0;

 protected:
  ~world() = default;
};

/// How many worlds there are in the process. Not detail::atomic, since simulated atomics ask for
/// the world themselves.
inline constinit plain_atomic<std::uint32_t> worlds{0};

/// The world whose virtual thread the caller is, or nullptr. Never inlined, like all thread-local
/// access.
HEDDLE_NOINLINE world* world_of_this_thread() noexcept;
void set_world_of_this_thread(world* w) noexcept;

/// The same, for hot paths: one load when nothing is simulated.
HEDDLE_INLINE world* this_world() noexcept {
  return worlds.load(relaxed) == 0 ? nullptr : world_of_this_thread();
}

/// A place where threads overtaking each other make a difference. No machine's lock is held.
HEDDLE_INLINE void overtaking_point() noexcept {
  if (world* w = this_world()) [[unlikely]]
    w->point();
}

/// Lets other threads run: who spins for long calls it between two looks.
HEDDLE_COLD void yield_thread() noexcept;

/// Blocks until `ready()`. Only inside a world.
template <class Ready>
bool block_until(world& w, time_point deadline, Ready ready, when_stuck then = when_stuck::throws) {
  return w.block([](void* r) { return (*static_cast<Ready*>(r))(); }, &ready, deadline, then);
}

}  // namespace heddle::detail
