// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// The generators of a runtime that have begun and not ended, so that its shutdown can close them.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/base/spin_lock.h>
#include <heddle/core/task.h>

#include <cstdint>
#include <utility>

namespace heddle::detail {

/// What the registry knows of a generator: its links, and that it is counted.
//
// Who may touch what:
//   refs_                  any thread, atomically. The handle holds one, a closer one, and the list
//                          one while the generator is listed. The thread that drops the last one
//                          destroys the frame
//   list_                  the task that is in it for the first time, before it is listed
//   prev_, next_, listed_  under the lock of its list
class listed_generator : public promise_base {
 public:
  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    // pairs with the same of the other holders
    if (refs_.fetch_sub(1, acq_rel) == 1) destroy();
  }

 protected:
  listed_generator() = default;
  ~listed_generator() = default;

  std::uint16_t list_ = 0;

 private:
  friend class generator_chain;
  friend class generator_registry;

  void destroy() noexcept;

  bool listed_ = false;
  atomic<std::uint32_t> refs_{1};
  listed_generator* prev_ = nullptr;
  listed_generator* next_ = nullptr;
};

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
  void push_all(listed_generator* list) noexcept;
  /// The oldest, or null.
  [[nodiscard]] counted_ptr<listed_generator> pop() noexcept;

 private:
  listed_generator* first_ = nullptr;
  listed_generator* last_ = nullptr;
};

/// A list a loop, so that generators that begin and end on different loops do not meet. A listed
/// generator is counted by its list.
class generator_registry {
 public:
  explicit generator_registry(unsigned lists)
      : lists_(std::make_unique<list[]>(lists)), count_(lists) {}

  /// A generator begins. False: the registry was shut, nobody will close it.
  [[nodiscard]] bool add(listed_generator& g) noexcept;
  /// True: it was listed; its reference is the caller's now.
  [[nodiscard]] bool remove(listed_generator& g) noexcept;
  /// Shutdown has not taken it yet, and will.
  [[nodiscard]] bool has(listed_generator& g) noexcept;
  /// From now on add() refuses. Hands over those that are listed, with their references.
  [[nodiscard]] generator_chain shut() noexcept;

 private:
  struct alignas(64) list {
    spin_lock lock;
    listed_generator* first = nullptr;
    bool shut = false;
  };
  std::unique_ptr<list[]> lists_;
  unsigned count_;
};

}  // namespace heddle::detail
