// SPDX-License-Identifier: MIT
// Internal to core. Not installed.
// Atomics for a build of the library in which, in a simulated program, another virtual thread may
// run before every atomic operation (HEDDLE_ATOMIC_HEADER, core/base/atomic.h). Outside of a
// simulation they are the processor's.
//
// Memory orders. All virtual threads of a simulation are fibers of one thread, so each operation
// sees all that came before, whatever its order. A simulation tries interleavings, and none of the
// reorderings that a weaker order allows: ThreadSanitizer and the stresses on real threads find an
// order that is too weak. The orders are passed on all the same, and not made seq_cst. Outside of a
// simulation the same build runs on real threads (the tests' own, those of to_thread), under
// ThreadSanitizer too, and there a stronger order would hide the race. Relaxed operations are
// points of overtaking like the others, since another thread may run before them.
#pragma once

namespace heddle::detail {

/// Before an atomic operation: other virtual threads may run.
void overtaken_here() noexcept;
/// A compare-exchange may fail for no reason. True: this one does.
bool fails_for_no_reason() noexcept;
/// False: from here on no other virtual thread runs, until as many calls with true have come.
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
