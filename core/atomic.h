// SPDX-License-Identifier: MIT
// The seam for atomics. Every atomic of the library is a heddle::detail::atomic, so that the same code can be compiled over
// counting or simulated atomics (define HEDDLE_ATOMIC_HEADER to a header that defines heddle::detail::atomic).
// Orders stand on the operations; there are no free-standing fences (ThreadSanitizer does not see them, and clang's costs
// twice a locked operation).
#pragma once

#ifdef HEDDLE_ATOMIC_HEADER
#include HEDDLE_ATOMIC_HEADER
#else
#include <atomic>
namespace heddle::detail {
template <class T>
using atomic = std::atomic<T>;

/// Nothing. Over simulated atomics: while one lives no other virtual thread overtakes the caller. Stands where the caller is alone for a
/// reason that simulated threads do not share, since they share one thread's thread-locals and hold its std::mutex.
struct uninterrupted {
  uninterrupted() noexcept {}
  ~uninterrupted() {}
  uninterrupted(const uninterrupted&) = delete;
};
}  // namespace heddle::detail
#endif

namespace heddle::detail {
inline constexpr auto relaxed = std::memory_order_relaxed;
inline constexpr auto acquire = std::memory_order_acquire;
inline constexpr auto release = std::memory_order_release;
inline constexpr auto acq_rel = std::memory_order_acq_rel;
inline constexpr auto seq_cst = std::memory_order_seq_cst;

/// One writer only: a counter others may read without tearing. Costs a plain add.
template <class T>
inline void bump(atomic<T>& counter, T by = 1) noexcept {
  counter.store(counter.load(relaxed) + by, relaxed);
}
}  // namespace heddle::detail
