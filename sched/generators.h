// SPDX-License-Identifier: MIT
// The generators of a runtime that have begun and not ended, so that its shutdown can close them. Not a public header.
#pragma once

#include <heddle/core/spin_lock.h>
#include <heddle/sched/async_generator.h>

#include <memory>
#include <vector>

namespace heddle::detail {

/// A list a loop, so that generators that begin and end on different loops do not meet. A listed generator is counted by its list.
class generator_registry {
 public:
  explicit generator_registry(unsigned lists)
      : lists_(std::make_unique<list[]>(lists)), count_(lists) {}

  /// A generator begins. False: the registry was shut, nobody will close it.
  [[nodiscard]] bool add(generator_base& g) noexcept;
  /// True: it was listed; its reference is the caller's now.
  [[nodiscard]] bool remove(generator_base& g) noexcept;
  /// Shutdown has not taken it yet, and will.
  [[nodiscard]] bool has(generator_base& g) noexcept;
  /// From now on add() refuses. Hands over those that are listed, with their references. Throws std::bad_alloc.
  [[nodiscard]] std::vector<generator_ref> shut();

 private:
  struct alignas(64) list {
    spin_lock lock;
    generator_base* first = nullptr;
    bool shut = false;
  };
  std::unique_ptr<list[]> lists_;
  unsigned count_;
};

/// Closes all of these, which nobody else will, at the same time, and reports what their cleanups throw.
task<> close_generators(std::vector<generator_ref> all);

}  // namespace heddle::detail
