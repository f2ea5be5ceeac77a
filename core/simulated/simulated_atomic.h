// SPDX-License-Identifier: MIT
// Internal to core.
// Atomics for a build of the library in which, in a simulated program, another virtual thread may
// run before every atomic operation (HEDDLE_ATOMIC_HEADER, core/base/atomic.h). Outside of a
// simulation they are the processor's. Not installed.
//
// Memory orders. All virtual threads of a simulation are fibers of one thread, so that each
// operation sees all that came before, whatever its order: a simulation tries every interleaving,
// and none of the reorderings that a weaker order would allow. An order that is too weak is found
// by ThreadSanitizer and by the stresses on real threads, not here. The orders are passed on all
// the same, and not made seq_cst: outside of a simulation the same build runs on real threads (the
// tests' own, to_thread's), under ThreadSanitizer too, and there a stronger order would hide the
// race. Relaxed operations are points of overtaking like the others, since another thread may run
// before them.
#pragma once

namespace heddle::detail {

/// Before an atomic operation: others may run.
void overtaken_here() noexcept;
/// A compare-exchange that is allowed to fail for no reason: shall it?
bool fails_for_no_reason() noexcept;
void interrupt(bool allowed) noexcept;

struct uninterrupted {
  uninterrupted() noexcept { interrupt(false); }
  ~uninterrupted() { interrupt(true); }
  uninterrupted(const uninterrupted&) = delete;
};

inline void noted(happening) noexcept {}

template <class T>
class atomic {
 public:
  constexpr atomic() noexcept = default;
  constexpr atomic(T value) noexcept : value_(value) {}  // NOLINT: as std::atomic's
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(memory_order order) const noexcept {
    overtaken_here();
    return value_.load(order);
  }
  void store(T value, memory_order order) noexcept {
    overtaken_here();
    value_.store(value, order);
  }
  T exchange(T value, memory_order order) noexcept {
    overtaken_here();
    return value_.exchange(value, order);
  }
  bool compare_exchange_strong(T& expected, T desired, memory_order done,
                               memory_order failed) noexcept {
    overtaken_here();
    return value_.compare_exchange_strong(expected, desired, done, failed);
  }
  bool compare_exchange_weak(T& expected, T desired, memory_order done,
                             memory_order failed) noexcept {
    overtaken_here();
    if (fails_for_no_reason()) {
      expected = value_.load(failed);
      return false;
    }
    return value_.compare_exchange_strong(expected, desired, done, failed);
  }
  template <class By>
  T fetch_add(By by, memory_order order) noexcept {
    overtaken_here();
    return value_.fetch_add(by, order);
  }
  template <class By>
  T fetch_sub(By by, memory_order order) noexcept {
    overtaken_here();
    return value_.fetch_sub(by, order);
  }
  T fetch_or(T bits, memory_order order) noexcept {
    overtaken_here();
    return value_.fetch_or(bits, order);
  }
  T fetch_and(T bits, memory_order order) noexcept {
    overtaken_here();
    return value_.fetch_and(bits, order);
  }

 private:
  plain_atomic<T> value_{};
};

}  // namespace heddle::detail
