// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/atomic.h>

#include <cstdint>
#include <utility>

namespace heddle::detail {

/// One owner, deleted with it. What std::unique_ptr is, without the <ostream> and the dozen class templates behind each T that it costs
/// who includes a public header: half a millisecond a type, of the second that a first program has. T may be incomplete but where it is
/// deleted.
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

/// Base of what is shared: the count stands in the object.
class counted {
 public:
  counted() = default;
  counted(const counted&) = delete;
  virtual ~counted() = default;
  void ref() const noexcept { refs_.fetch_add(1, relaxed); }
  void unref() const noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;  // the last one sees what the others did
  }

 private:
  mutable atomic<std::uint32_t> refs_{0};
};

/// What std::shared_ptr is, for a T that derives from counted and may be incomplete but where it is made or used. Thread-safety as
/// std::shared_ptr's.
template <class T>
class shared {
 public:
  constexpr shared() noexcept = default;
  explicit shared(T* p) noexcept : p_(p) {
    if (p_) p_->ref();
  }
  shared(const shared& other) noexcept : p_(other.p_) {
    if (p_) p_->ref();
  }
  shared(shared&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
  shared& operator=(shared other) noexcept {
    std::swap(p_, other.p_);
    return *this;
  }
  ~shared() {
    if (p_) p_->unref();
  }

  [[nodiscard]] T* get() const noexcept { return static_cast<T*>(p_); }
  T* operator->() const noexcept { return get(); }
  T& operator*() const noexcept { return *get(); }
  explicit operator bool() const noexcept { return p_ != nullptr; }

 private:
  counted* p_ = nullptr;
};

}  // namespace heddle::detail
