// SPDX-License-Identifier: MIT
// Internal to sched.
// SIGINT while a program runs: asyncio's KeyboardInterrupt. Not a public header.
#pragma once

#include <heddle/core/base/atomic.h>

#include <cstdint>

namespace heddle::detail {

/// What a thread sleeps on that a signal handler may wake it from, which a condition variable is
/// not for: a futex.
class bell {
 public:
  [[nodiscard]] std::uint32_t seen() const noexcept { return rings_.load(seq_cst); }
  /// Returns when it has rung since `seen`; now and then sooner.
  void sleep(std::uint32_t seen) noexcept;
  /// From anywhere, also from a signal handler. Costs a system call only while somebody listens.
  void ring() noexcept;
  void listen(bool on) noexcept { listeners_.fetch_add(on ? 1u : ~0u, seq_cst); }

 private:
  // ring() moves rings_ and then looks at listeners_; a listener is counted before it looks at what
  // it waits for: one of the two sees the other.
  atomic<std::uint32_t> rings_{0};
  atomic<std::uint32_t> listeners_{0};
};

/// While it lives in the main thread, and if SIGINT had its default action, SIGINT is counted here
/// and rings the bell. An action of the user's is left alone; one that he installs meanwhile stays.
class interrupt_watch {
 public:
  /// `wanted` false: it does nothing. A simulated program's time stands still for signals.
  interrupt_watch(bell& b, bool wanted) noexcept;
  interrupt_watch(const interrupt_watch&) = delete;
  ~interrupt_watch();

  /// SIGINT is ours.
  [[nodiscard]] bool armed() const noexcept { return armed_; }
  /// How often it came.
  [[nodiscard]] unsigned count() const noexcept;

 private:
  bool armed_ = false;
};

}  // namespace heddle::detail
