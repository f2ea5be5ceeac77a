// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The seam for atomics. Every atomic of the library is a heddle::detail::atomic, so that the same
// code can be compiled over counting or simulated atomics: define HEDDLE_ATOMIC_HEADER to a header
// that defines heddle::detail::atomic. Orders stand on the operations. There are no free-standing
// fences: ThreadSanitizer does not see them, and clang's cost twice a locked operation.
#pragma once

#include <type_traits>

namespace heddle::detail {

enum class memory_order : int {
  relaxed = __ATOMIC_RELAXED,
  acquire = __ATOMIC_ACQUIRE,
  release = __ATOMIC_RELEASE,
  acq_rel = __ATOMIC_ACQ_REL,
  seq_cst = __ATOMIC_SEQ_CST,
};
inline constexpr auto relaxed = memory_order::relaxed;
inline constexpr auto acquire = memory_order::acquire;
inline constexpr auto release = memory_order::release;
inline constexpr auto acq_rel = memory_order::acq_rel;
inline constexpr auto seq_cst = memory_order::seq_cst;

/// The processor's atomic operations. Like std::atomic, without what the library has no use for:
/// the orders are always named, and there are no operators, no wait and no notify. It is code of
/// our own because <atomic> alone is a tenth of what a program's compiler pays for the umbrella
/// header.
template <class T>
class plain_atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8 &&
                    (sizeof(T) & (sizeof(T) - 1)) == 0,
                "the processor has no such atomic");

 public:
  constexpr plain_atomic() noexcept = default;
  constexpr plain_atomic(T value) noexcept : value_(value) {}  // NOLINT: as std::atomic's
  plain_atomic(const plain_atomic&) = delete;
  plain_atomic& operator=(const plain_atomic&) = delete;

  T load(memory_order order) const noexcept {
    T value;
    __atomic_load(&value_, &value, static_cast<int>(order));
    return value;
  }
  void store(T value, memory_order order) noexcept {
    __atomic_store(&value_, &value, static_cast<int>(order));
  }
  T exchange(T value, memory_order order) noexcept {
    T before;
    __atomic_exchange(&value_, &value, &before, static_cast<int>(order));
    return before;
  }
  bool compare_exchange_strong(T& expected, T desired, memory_order done,
                               memory_order failed) noexcept {
    return __atomic_compare_exchange(&value_, &expected, &desired, false, static_cast<int>(done),
                                     static_cast<int>(failed));
  }
  bool compare_exchange_weak(T& expected, T desired, memory_order done,
                             memory_order failed) noexcept {
    return __atomic_compare_exchange(&value_, &expected, &desired, true, static_cast<int>(done),
                                     static_cast<int>(failed));
  }
  T fetch_add(T by, memory_order order) noexcept
    requires std::is_integral_v<T>
  {
    return __atomic_fetch_add(&value_, by, static_cast<int>(order));
  }
  T fetch_sub(T by, memory_order order) noexcept
    requires std::is_integral_v<T>
  {
    return __atomic_fetch_sub(&value_, by, static_cast<int>(order));
  }
  T fetch_or(T bits, memory_order order) noexcept
    requires std::is_integral_v<T>
  {
    return __atomic_fetch_or(&value_, bits, static_cast<int>(order));
  }
  T fetch_and(T bits, memory_order order) noexcept
    requires std::is_integral_v<T>
  {
    return __atomic_fetch_and(&value_, bits, static_cast<int>(order));
  }

 private:
  alignas(sizeof(T)) T value_{};
};

/// What bench/model cannot see in the atomic operations alone, when it counts them or charges for
/// them.
enum class happening { locked, sent, woke, stole, found_nothing, spun };

}  // namespace heddle::detail

#ifdef HEDDLE_ATOMIC_HEADER
#include HEDDLE_ATOMIC_HEADER
#else
namespace heddle::detail {

template <class T>
using atomic = plain_atomic<T>;

/// Does nothing here. Over simulated atomics: while one lives, no other virtual thread overtakes
/// the caller. It stands where real threads exclude each other by a thread-local or a std::mutex.
/// That does not exclude virtual threads, which all are one thread of the machine.
struct uninterrupted {
  uninterrupted() noexcept {}
  ~uninterrupted() {}
  uninterrupted(const uninterrupted&) = delete;
};

/// Does nothing here. Over counting atomics: counts.
inline void noted(happening) noexcept {}
}  // namespace heddle::detail
#endif

namespace heddle::detail {
/// Adds to a counter that has one writer, and that others may read without tearing. Costs a plain
/// add.
template <class T>
inline void bump(atomic<T>& counter, T by = 1) noexcept {
  counter.store(counter.load(relaxed) + by, relaxed);
}
/// The same for a counter from which others conclude that something is over. A thread that reads it
/// with acquire, and finds this step counted, sees all that the writer did before. Costs the same
/// on x86.
template <class T>
inline void bump_release(atomic<T>& counter) noexcept {
  counter.store(counter.load(relaxed) + 1, release);
}
}  // namespace heddle::detail
