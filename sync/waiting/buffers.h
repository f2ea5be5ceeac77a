// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// How the queues hold their items. Every buffer has push, pop, size and take_all. All but the
// destructor of what take_all() gave are called under the queue's lock.
#pragma once

#include <heddle/core/base/config.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/memory/memory.h>

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#if __has_include(<bits/stl_heap.h>)
#include <bits/stl_heap.h>  // libstdc++: push_heap and pop_heap without the ranges of <algorithm>
#else
#include <algorithm>
#endif

namespace heddle::detail {

/// First in, first out. A ring that doubles when it is full.
template <class T>
class fifo_buffer {
 public:
  fifo_buffer() = default;
  fifo_buffer(fifo_buffer&& other) noexcept
      : cells_(std::exchange(other.cells_, nullptr)),
        capacity_(std::exchange(other.capacity_, 0)),
        first_(std::exchange(other.first_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  ~fifo_buffer() {
    while (size_ != 0) (void)pop();
    if (cells_) std::allocator<T>().deallocate(cells_, capacity_);
  }

  /// Moves all items out; the caller destroys them where no lock is held.
  [[nodiscard]] fifo_buffer take_all() noexcept { return std::move(*this); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void push(T&& item) {
    if (size_ == capacity_) grow();
    std::construct_at(cells_ + ((first_ + size_) & (capacity_ - 1)), std::move(item));
    ++size_;
  }
  T pop() noexcept {
    T* cell = cells_ + first_;
    T item = std::move(*cell);
    std::destroy_at(cell);
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
    return item;
  }

 private:
  HEDDLE_NOINLINE void grow() {
    const std::size_t bigger = capacity_ == 0 ? 8 : capacity_ * 2;
    T* cells = std::allocator<T>().allocate(bigger);
    for (std::size_t i = 0; i < size_; ++i) {
      T* old = cells_ + ((first_ + i) & (capacity_ - 1));
      std::construct_at(cells + i, std::move(*old));
      std::destroy_at(old);
    }
    if (cells_) std::allocator<T>().deallocate(cells_, capacity_);
    cells_ = cells;
    capacity_ = bigger;
    first_ = 0;
  }

  T* cells_ = nullptr;
  std::size_t capacity_ = 0;  // a power of two
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

/// Last in, first out.
template <class T>
class lifo_buffer {
 public:
  [[nodiscard]] std::vector<T> take_all() noexcept { return std::exchange(items_, {}); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  void push(T&& item) { items_.push_back(std::move(item)); }
  T pop() noexcept {
    T item = std::move(items_.back());
    items_.pop_back();
    return item;
  }

 private:
  std::vector<T> items_;
};

/// The least item first, by `Less`. A heap.
template <class T, class Less>
class priority_buffer {
 public:
  explicit priority_buffer(Less less) : after_{std::move(less)} {}
  [[nodiscard]] std::vector<T> take_all() noexcept { return std::exchange(items_, {}); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  void push(T&& item) {
    items_.push_back(std::move(item));
    std::push_heap(items_.begin(), items_.end(), by_rank());
  }
  T pop() {
    std::pop_heap(items_.begin(), items_.end(), by_rank());
    T item = std::move(items_.back());
    items_.pop_back();
    return item;
  }

 private:
  // Calls the user's comparator by reference. A copy of it would be made and destroyed under the
  // lock, and both run the user's code.
  auto by_rank() noexcept {
    return [this](const T& a, const T& b) { return after_(a, b); };
  }
  struct after {
    [[no_unique_address]] Less less;
    bool operator()(const T& a, const T& b) { return less(b.get(), a.get()); }
  };
  after after_;
  std::vector<T> items_;
};

/// An item in a buffer. Buffers move their items under the queue's lock, and a move that throws
/// there would break the buffer. So an item whose moves may throw stands in a block of its own, and
/// the buffer moves the pointer. That costs such an item one allocation.
template <class T>
class cell {
  static constexpr bool moves_safely =
      std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>;
  std::conditional_t<moves_safely, T, owned<T>> held_;

 public:
  template <class U>
    requires(!std::same_as<std::remove_cvref_t<U>, cell>)
  explicit cell(U&& item) : held_(make(std::forward<U>(item))) {}

  [[nodiscard]] const T& get() const noexcept {
    if constexpr (moves_safely)
      return held_;
    else
      return *held_;
  }
  [[nodiscard]] T take() {
    if constexpr (moves_safely)
      return std::move(held_);
    else
      return std::move(*held_);
  }

 private:
  template <class U>
  static auto make(U&& item) {
    if constexpr (moves_safely)
      return T(std::forward<U>(item));
    else
      return owned<T>(new T(std::forward<U>(item)));
  }
};

}  // namespace heddle::detail
