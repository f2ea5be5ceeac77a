// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Owners of one object. They are what std::unique_ptr and std::shared_ptr are, for less of a user's
// compile time.
#pragma once

#include <heddle/core/base/atomic.h>

#include <cstdint>
#include <utility>

namespace heddle::detail {

/// The one owner of an object, which is deleted with it: what std::unique_ptr is. That costs
/// whoever includes a public header <ostream>, and a dozen class templates for each T: half a
/// millisecond a type, of the second that a first program has. T may be incomplete, except where it
/// is deleted.
template <class T>
class owned {
 public:
  constexpr owned() noexcept = default;
  explicit owned(T* p) noexcept : p_(p) {}
  owned(owned&& other) noexcept : p_(other.release()) {}
  template <class U>
    requires(static_cast<T*>(static_cast<U*>(nullptr)) == nullptr)
  owned(owned<U>&& other) noexcept : p_(other.release()) {}
  owned& operator=(owned&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~owned() { delete p_; }

  [[nodiscard]] T* get() const noexcept { return p_; }
  T* operator->() const noexcept { return p_; }
  T& operator*() const noexcept { return *p_; }
  explicit operator bool() const noexcept { return p_ != nullptr; }
  [[nodiscard]] T* release() noexcept { return std::exchange(p_, nullptr); }
  void reset(T* p = nullptr) noexcept { delete std::exchange(p_, p); }

 private:
  T* p_ = nullptr;
};

/// Base of what is shared: the count stands in the object, and begins at 1, for its maker.
class counted {
 public:
  counted() = default;
  counted(const counted&) = delete;
  virtual ~counted() = default;
  void ref() const noexcept { refs_.fetch_add(1, relaxed); }
  void unref() const noexcept {
    // The last one sees what the others did. pairs with the other unref() calls
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }

 private:
  mutable atomic<std::uint32_t> refs_{1};
};

/// A pointer to something that counts itself (ref, unref), as `counted` does: what std::shared_ptr
/// is, with the same thread-safety. T may be incomplete, except where a pointer is made, copied or
/// dropped.
template <class T>
class counted_ptr {
 public:
  constexpr counted_ptr() noexcept = default;
  /// Takes over one reference.
  explicit counted_ptr(T* p) noexcept : pointer_(p) {}
  counted_ptr(const counted_ptr& other) noexcept : pointer_(other.pointer_) {
    if (pointer_) pointer_->ref();
  }
  counted_ptr(counted_ptr&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
  counted_ptr& operator=(counted_ptr other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  ~counted_ptr() {
    if (pointer_) pointer_->unref();
  }
  [[nodiscard]] T* get() const noexcept { return pointer_; }
  T* operator->() const noexcept { return pointer_; }
  T& operator*() const noexcept { return *pointer_; }
  explicit operator bool() const noexcept { return pointer_ != nullptr; }

 private:
  T* pointer_ = nullptr;
};

}  // namespace heddle::detail
