// SPDX-License-Identifier: MIT
// What the stress tests of the scheduler share. Each stress is a template. It runs once over the
// real thing, which must hold. It runs again over one with a planted fault, which the same check
// must notice: otherwise the check is worth nothing. The faulty ones give the processor up where
// they are wrong, so that the fault shows soon.
#pragma once

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace stress {

using namespace std::chrono_literals;

using item = std::uintptr_t;

/// The parameter is the number of threads; others() of them take part beside the owner.
class at_threads : public support::at_loops {
 protected:
  static unsigned others() { return GetParam() == 1 ? 0 : GetParam() == 2 ? 1 : 7; }
};

inline constexpr auto bound = 60s;  // a planted fault is noticed long before
inline constexpr int items_a_round = support::sanitized ? 500 : 5000;
inline constexpr int real_rounds = support::sanitized ? 4 : 40;

/// How often each item was taken.
class tally {
 public:
  explicit tally(int n) : seen_(static_cast<std::size_t>(n) + 1) {}
  void take(item i) { seen_[i].fetch_add(1, std::memory_order_relaxed); }
  /// Every item exactly once?
  [[nodiscard]] bool right() const {
    for (std::size_t i = 1; i < seen_.size(); ++i)
      if (seen_[i] != 1) return false;
    return true;
  }

 private:
  std::vector<std::atomic<int>> seen_;
};

/// Tries until the fault shows.
template <class F>
bool noticed(F holds) {
  const auto end = std::chrono::steady_clock::now() + bound;
  for (std::uint64_t seed = 1; std::chrono::steady_clock::now() < end; ++seed)
    if (!holds(seed)) return true;
  return false;
}

}  // namespace stress
