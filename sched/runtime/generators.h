// SPDX-License-Identifier: MIT
// Internal to sched.
// The generators of a runtime that have begun and not ended, so that its shutdown can close them.
// Not a public header.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/sched/async_generator.h>

#include <memory>
#include <utility>

namespace heddle::detail {

/// Generators with a reference each, linked through themselves: so shutdown needs no memory to take
/// them over. Those that are left in it are let go of, unclosed.
class generator_chain {
 public:
  generator_chain() noexcept = default;
  generator_chain(generator_chain&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)), last_(other.last_) {}
  generator_chain& operator=(generator_chain&&) = delete;
  ~generator_chain();

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  /// Takes over a list that is linked by next_, with its references.
  void push_all(generator_base* list) noexcept;
  /// The oldest, or null.
  [[nodiscard]] generator_ref pop() noexcept;

 private:
  generator_base* first_ = nullptr;
  generator_base* last_ = nullptr;
};

/// A list a loop, so that generators that begin and end on different loops do not meet. A listed
/// generator is counted by its list.
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
  /// From now on add() refuses. Hands over those that are listed, with their references.
  [[nodiscard]] generator_chain shut() noexcept;

 private:
  struct alignas(64) list {
    spin_lock lock;
    generator_base* first = nullptr;
    bool shut = false;
  };
  std::unique_ptr<list[]> lists_;
  unsigned count_;
};

/// Closes all of these, which nobody else will, at the same time, and reports what their cleanups
/// throw.
task<> close_generators(generator_chain all);

}  // namespace heddle::detail
