// SPDX-License-Identifier: MIT
//
// Atomics that cost virtual time (HEDDLE_ATOMIC_HEADER, core/base/atomic.h; machine.h). Outside of
// a simulation they are the processor's.
#pragma once

#include "model/counters.h"
#include "model/machine.h"

namespace heddle::detail {

/// The caller is not overtaken: it holds a lock of the machine's, which all virtual threads share.
struct uninterrupted {
  uninterrupted() noexcept { ++bench::model::machine.held; }
  ~uninterrupted() { --bench::model::machine.held; }
  uninterrupted(const uninterrupted&) = delete;
};

inline void noted(happening what) noexcept {
  using bench::model::counted;
  constexpr auto first = static_cast<unsigned>(counted::locked);
  static_assert(first + static_cast<unsigned>(happening::spun) ==
                static_cast<unsigned>(counted::spun));
  bench::model::count(static_cast<counted>(first + static_cast<unsigned>(what)));
  if (what == happening::spun) bench::model::spend(bench::model::cost::spin);
}

template <class T>
class atomic {
  using counted = bench::model::counted;

 public:
  constexpr atomic() noexcept = default;
  constexpr atomic(T value) noexcept : value_(value) {}  // NOLINT: as std::atomic's
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(memory_order order) const noexcept {
    bench::model::read(&value_);
    return value_.load(order);
  }
  void store(T value, memory_order order) noexcept {
    if (order == seq_cst) bench::model::count(counted::fenced);
    bench::model::write(&value_, order == seq_cst);
    value_.store(value, order);
  }
  T exchange(T value, memory_order order) noexcept {
    charge();
    return value_.exchange(value, order);
  }
  bool compare_exchange_strong(T& expected, T desired, memory_order done,
                               memory_order failed) noexcept {
    bench::model::write(&value_, true);
    return tell(value_.compare_exchange_strong(expected, desired, done, failed));
  }
  bool compare_exchange_weak(T& expected, T desired, memory_order done,
                             memory_order failed) noexcept {
    bench::model::write(&value_, true);
    return tell(value_.compare_exchange_strong(expected, desired, done, failed));
  }
  template <class By>
  T fetch_add(By by, memory_order order) noexcept {
    charge();
    return value_.fetch_add(by, order);
  }
  template <class By>
  T fetch_sub(By by, memory_order order) noexcept {
    charge();
    return value_.fetch_sub(by, order);
  }
  T fetch_or(T bits, memory_order order) noexcept {
    charge();
    return value_.fetch_or(bits, order);
  }
  T fetch_and(T bits, memory_order order) noexcept {
    charge();
    return value_.fetch_and(bits, order);
  }

 private:
  void charge() noexcept {
    bench::model::count(counted::read_modify_write);
    bench::model::write(&value_, true);
  }
  static bool tell(bool done) noexcept {
    bench::model::count(done ? counted::exchanged : counted::failed);
    return done;
  }

  plain_atomic<T> value_{};
};

}  // namespace heddle::detail
