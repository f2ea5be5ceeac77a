// SPDX-License-Identifier: MIT
// A thread that is about to make another keeps signals from it. Not a public header.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace heddle::detail {

/// Blocks all signals of the calling thread while it lives. A thread that is made meanwhile begins
/// with all blocked: signals are for the process's own threads. The caller gets its own mask back
/// however the scope ends, also when the thread could not be made.
class blocked_signals {
 public:
  blocked_signals() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    (void)::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  blocked_signals(const blocked_signals&) = delete;
  blocked_signals& operator=(const blocked_signals&) = delete;
  ~blocked_signals() { (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace heddle::detail
