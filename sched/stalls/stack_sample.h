// SPDX-License-Identifier: MIT
// Internal to sched.
// The stack of another thread that computes, taken by a signal.
//
// Problem   A signal that meets a thread in a system call cuts the call short (EINTR), and user
//           code breaks. A look whether the thread runs comes too early: it may enter a call before
//           the signal comes.
// Rejected  tgkill after such a look: see above. ptrace: no thread may trace its own process.
// Chosen    A timer over the thread's own time (timer_create with the clock of the thread, as Go's
//           profiler does). The kernel sends its signal when a tick finds the thread running, and
//           on its way back to user mode. So a thread that sleeps gets none, and no call is cut
//           short. The handler walks the stack by unwind tables (_Unwind_Backtrace) and copies the
//           registers and the top of the stack.
// Dangers   While an exception is thrown the unwinder's own frames are no frames, and a walk
//           crashes. The handler walks only where std::uncaught_exceptions() is 0. An older libc
//           takes a lock in the walk: then, and under ThreadSanitizer, which delays signals, no
//           stack is taken.
// Cost      Some 60 us of the thread that is asked, for each sample. The handler allocates nothing,
//           takes no lock, and touches no thread-local for the first time
//           (prepare_to_be_watched()).
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

class task_record;

struct stack_sample {
  static constexpr std::size_t most_frames = 48;
  static constexpr std::size_t most_words = 2048;

  std::size_t frames = 0;
  std::uint64_t at[most_frames] = {};        // in each function: of its call, or where it was met
  std::uint64_t function[most_frames] = {};  // where that function begins
  std::size_t words = 0;
  std::uint64_t word[most_words] = {};  // the registers, then the stack from its top
  const task_record* task = nullptr;    // whose code ran, if any
};

enum class sampling : std::uint8_t {
  good,
  again,  // it did not run, or threw an exception: another try may meet it
  off,    // no stack can be taken in this program
};

/// Asks the thread that runs `loop` for its stack, and waits for the answer, some 50 ms at most.
/// `signal`: by which; its handler must be the default, or this one. One call at a time.
[[nodiscard]] sampling sample_stack(int thread, const void* loop, int signal,
                                    const stack_sample*& to) noexcept;

/// The signals that samples were taken by get their former actions back. Only while no thread is
/// watched.
void give_signals_back() noexcept;
/// In a forked child: the thread that took samples is not there.
void forget_samples() noexcept;

}  // namespace heddle::detail
