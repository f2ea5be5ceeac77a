// SPDX-License-Identifier: MIT
// Internal to sched.
// A stack of its own, run on the calling thread and switched to by hand. Not a public header.
//
// What a thread keeps for itself and would be wrong after a switch goes with the stack: the
// callee-saved registers, the runtime's list of exceptions that are being handled, and what the
// sanitizers want to know.
#pragma once

#include <heddle/core/base/config.h>

#include <cstddef>
#include <memory>

namespace heddle::detail {

class fiber {
 public:
  /// The calling thread's own stack.
  fiber();
  /// A fresh stack, from the calling thread's store of them; the first switch to it calls
  /// `entry(argument)`, which must never return: it leaves by a last switch. Throws std::bad_alloc.
  fiber(void (*entry)(void*), void* argument);
  fiber(const fiber&) = delete;
  /// Must not be the one that runs.
  ~fiber();

  /// Leaves the one that runs and goes on with this one.
  void resume(fiber& running) noexcept;
  /// The same, and `running` will never run again.
  void resume_for_good(fiber& running) noexcept;

  struct machine;  // registers, by kind of processor

 private:
  static void begin(fiber& self) noexcept;
  void go(fiber& running, bool for_good) noexcept;
  void arrived() noexcept;

  friend struct machine;
  std::unique_ptr<machine> machine_;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  void* stack_ = nullptr;     // lowest address; nullptr: not ours
  void* exceptions_[2] = {};  // __cxa_eh_globals
  struct {
    const void* low = nullptr;  // the stack, as far as it is known
    std::size_t size = 0;
    void* fake_stack = nullptr;
    void* thread = nullptr;  // ThreadSanitizer's idea of it
    fiber* came_from = nullptr;
  } sanitizer_;
};

}  // namespace heddle::detail
