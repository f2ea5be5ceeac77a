// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// What a context consists of: immutable maps that are shared, and the slots that say which map
// holds now.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/base/spin_lock.h>
#include <heddle/core/memory/frame_cache.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace heddle::detail {

/// The value of one variable, shared by all contexts that copied it. Never changes.
class context_value : public frame_cached {
 public:
  context_value() = default;
  context_value(const context_value&) = delete;
  virtual ~context_value() = default;
  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }

 private:
  atomic<std::uint32_t> refs_{1};
};
using context_value_ref = counted_ptr<context_value>;

/// Which variables have which values. Never changes: setting a variable makes another map, so
/// copying a context costs one counted reference. Sorted by variable. A set copies the whole map:
/// for the dozen variables that a program has that is one block and a dozen increments.
class context_map : public frame_cached {
 public:
  using ref_to = counted_ptr<context_map>;

  /// `from` (may be null) with `variable` set to `value`, or without it if that is null. Throws
  /// std::bad_alloc.
  static ref_to with(const context_map* from, std::uint64_t variable, context_value_ref value);

  [[nodiscard]] context_value_ref find(std::uint64_t variable) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }

 private:
  struct entry {
    std::uint64_t variable = 0;
    context_value_ref value;
  };
  explicit context_map(std::size_t size) : entries_(new entry[size]), size_(size) {}
  ~context_map() { delete[] entries_; }

  entry* const entries_;
  std::size_t size_;
  atomic<std::uint32_t> refs_{1};
};
using context_map_ref = context_map::ref_to;

/// A name for a variable or a context that no other one gets. Cost: a locked operation.
std::uint64_t next_context_number() noexcept;

class context_state;

/// Where a task, a callback or a thread keeps its context: a map of its own, or a context that it
/// shares with others.
///
/// It has a lock, although one task owns it: the task's strands run at the same time, and so do
/// tasks that were given one context. Nothing of the user's runs under the lock: a value is taken
/// out by its count, and copied or destroyed outside. Thread-safety: any thread.
class context_slot {
 public:
  constexpr context_slot() noexcept = default;
  explicit context_slot(context_map_ref map) noexcept
      : map_(std::move(map)), begun_(static_cast<bool>(map_)) {}
  context_slot(const context_slot&) = delete;
  context_slot& operator=(const context_slot&) = delete;
  ~context_slot();

  /// Only before others can reach it: begins with `map`, or shares `state`.
  void begin_with(context_map_ref map) noexcept {
    begun_.store(static_cast<bool>(map), relaxed);
    map_ = std::move(map);
  }
  void share(counted_ptr<context_state> state) noexcept;

  /// Something was set here at some time. False: a child has nothing to begin with. Costs two
  /// loads.
  [[nodiscard]] inline bool begun() noexcept;
  /// What a child begins with; null if nothing is set.
  [[nodiscard]] context_map_ref copy() noexcept;
  [[nodiscard]] context_value_ref find(std::uint64_t variable) noexcept;
  /// Sets (null: unsets) and returns what was before. Throws std::bad_alloc.
  context_value_ref replace(std::uint64_t variable, context_value_ref value);
  /// The context as an object that others may share. From now on the owner of this slot and all who
  /// share it see each other's changes. Throws std::bad_alloc.
  [[nodiscard]] counted_ptr<context_state> shared();
  /// A number that no other context ever has.
  [[nodiscard]] std::uint64_t identity() noexcept;

 private:
  [[nodiscard]] context_slot& target() noexcept;
  context_slot& lock_target() noexcept;

  spin_lock lock_;
  context_map_ref map_;                // under lock_
  counted_ptr<context_state> shared_;  // under lock_; once set it stays
  std::uint64_t identity_ = 0;         // under lock_; 0: nobody asked yet
  // Written under the lock, read without it. begun_: something was set here; in most slots nothing
  // ever is. target_: the context that is shared.
  atomic<bool> begun_{false};
  atomic<context_state*> target_{nullptr};
};

/// What a `context` refers to.
class context_state : public frame_cached {
 public:
  context_state() = default;
  explicit context_state(context_map_ref map) noexcept : slot(std::move(map)) {}
  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }
  context_slot slot;

 private:
  atomic<std::uint32_t> refs_{1};
};
using context_ref = counted_ptr<context_state>;

inline bool context_slot::begun() noexcept {
  // pairs with shared()
  auto* state = target_.load(acquire);
  // pairs with replace()
  return (state ? state->slot : *this).begun_.load(acquire);
}

/// While it lives, the calling thread reads and sets variables in `slot`. Null: in the slot that it
/// would use by itself.
class context_scope {
 public:
  explicit context_scope(context_slot* slot) noexcept;
  context_scope(const context_scope&) = delete;
  ~context_scope();

 private:
  context_slot* before_;
};

}  // namespace heddle::detail
