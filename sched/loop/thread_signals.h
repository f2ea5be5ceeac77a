// SPDX-License-Identifier: MIT
// Internal to sched.
// Which signals the threads of loops and pools take. Not a public header.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace heddle::detail {

// Problem   A thread that blocks all signals loses those that are sent to it alone: by raise() in a
//           task, by pthread_kill, by a fault. They stay pending for ever, and the program's
//           handlers and signal sets hear nothing.
// Rejected  To block them and look now and then what is pending: a system call at each look, and a
//           busy loop would be late. A signal descriptor: it does not tell what was sent to one
//           thread from what was sent to the process.
// Chosen    The threads take what the thread takes that makes the runtime, or the pool: a program
//           that blocks signals for a thread of its own does so before it starts others. SIGPIPE
//           alone is blocked: a write to a broken pipe shall be an error, and end nobody.
// Promised  The kernel gives what is sent to the process to the main thread, as long as that does
//           not block it.
class thread_signals {
 public:
  /// As the calling thread has them.
  thread_signals() noexcept {
    sigemptyset(&blocked_);
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked_);
    sigaddset(&blocked_, SIGPIPE);
  }
  /// The calling thread, which has just begun, has them from now on. It began with those of the
  /// thread that started it, whichever that was.
  void take() const noexcept { pthread_sigmask(SIG_SETMASK, &blocked_, nullptr); }

 private:
  sigset_t blocked_;
};

}  // namespace heddle::detail
