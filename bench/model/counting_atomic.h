// SPDX-License-Identifier: MIT
//
// Atomics that count (HEDDLE_ATOMIC_HEADER, core/base/atomic.h): on real threads, the processor's
// operations, and each locked one leaves a count with its thread.
#pragma once

#include "model/counters.h"

namespace heddle::detail {

struct uninterrupted {
  uninterrupted() noexcept {}
  ~uninterrupted() {}
  uninterrupted(const uninterrupted&) = delete;
};

inline void noted(happening what) noexcept {
  using bench::model::counted;
  constexpr auto first = static_cast<unsigned>(counted::locked);
  static_assert(first + static_cast<unsigned>(happening::spun) ==
                static_cast<unsigned>(counted::spun));
  bench::model::count(static_cast<counted>(first + static_cast<unsigned>(what)));
}

template <class T>
class atomic {
  using counted = bench::model::counted;

 public:
  constexpr atomic() noexcept = default;
  constexpr atomic(T value) noexcept : value_(value) {}  // NOLINT: as std::atomic's
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(memory_order order) const noexcept { return value_.load(order); }
  void store(T value, memory_order order) noexcept {
    if (order == seq_cst) bench::model::count(counted::fenced);
    value_.store(value, order);
  }
  T exchange(T value, memory_order order) noexcept {
    bench::model::count(counted::read_modify_write);
    return value_.exchange(value, order);
  }
  bool compare_exchange_strong(T& expected, T desired, memory_order done,
                               memory_order failed) noexcept {
    return tell(value_.compare_exchange_strong(expected, desired, done, failed));
  }
  bool compare_exchange_weak(T& expected, T desired, memory_order done,
                             memory_order failed) noexcept {
    return tell(value_.compare_exchange_weak(expected, desired, done, failed));
  }
  template <class By>
  T fetch_add(By by, memory_order order) noexcept {
    bench::model::count(counted::read_modify_write);
    return value_.fetch_add(by, order);
  }
  template <class By>
  T fetch_sub(By by, memory_order order) noexcept {
    bench::model::count(counted::read_modify_write);
    return value_.fetch_sub(by, order);
  }
  T fetch_or(T bits, memory_order order) noexcept {
    bench::model::count(counted::read_modify_write);
    return value_.fetch_or(bits, order);
  }
  T fetch_and(T bits, memory_order order) noexcept {
    bench::model::count(counted::read_modify_write);
    return value_.fetch_and(bits, order);
  }

 private:
  static bool tell(bool done) noexcept {
    bench::model::count(done ? counted::exchanged : counted::failed);
    return done;
  }

  plain_atomic<T> value_{};
};

}  // namespace heddle::detail
