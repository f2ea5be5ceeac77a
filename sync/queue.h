// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/errors.h>
#include <heddle/core/memory/memory.h>
#include <heddle/sync/waiting/queue_core.h>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#if __has_include(<bits/stl_heap.h>)
#include <bits/stl_heap.h>  // libstdc++: push_heap and pop_heap without the ranges of <algorithm>
#else
#include <algorithm>
#endif

namespace heddle {
namespace detail {

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

/// What queue, lifo_queue and priority_queue share. The verbs are documented here; costs, ordering
/// and cancellation at `queue` below. All may be called from several tasks at once; those that are
/// not awaited may be called on any thread.
template <class T, class Buffer>
class basic_queue : public queue_core {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "a queue holds objects that can be moved");
  class putting;
  class getting;

 public:
  using value_type = T;

  /// Puts an item; waits while the queue is full. Throws queue_shut_down, and cancelled_error from
  /// the wait. Either way the item is destroyed.
  template <class U = T>
    requires std::constructible_from<T, U>
  putting put(U&& item) {
    return putting(*this, cell<T>(std::forward<U>(item)));
  }
  /// Yields the next item; waits while there is none. Throws queue_shut_down when the queue is shut
  /// down and empty, and cancelled_error from the wait.
  getting get() noexcept { return getting(*this); }

  /// Puts an item if there is room. False: the queue is full or shut down, and an `item` of type T
  /// is as it was.
  template <class U = T>
    requires std::constructible_from<T, U>
  [[nodiscard]] bool try_put(U&& item) {
    cell<T> made(std::forward<U>(item));
    if (insert(made) == put_result::done) return true;
    if constexpr (std::same_as<U, T>) item = made.take();
    return false;
  }
  /// Takes the next item. Nothing: the queue is empty, whether it is shut down or not.
  [[nodiscard]] std::optional<T> try_get() {
    std::optional<cell<T>> item;
    if (remove(item) != get_result::done) return std::nullopt;
    return item->take();
  }
  /// Puts an item. Throws queue_full or queue_shut_down instead of waiting.
  template <class U = T>
    requires std::constructible_from<T, U>
  void put_nowait(U&& item) {
    cell<T> made(std::forward<U>(item));
    if (!put_done(insert(made))) throw queue_full();
  }
  /// Takes the next item. Throws queue_empty or queue_shut_down instead of waiting.
  T get_nowait() {
    std::optional<cell<T>> item;
    if (!get_done(remove(item))) throw queue_empty();
    return item->take();
  }

  /// Ends all puts, on any thread. The items in the queue can still be got, unless `immediate`:
  /// then they are dropped and count as done. A task that waits to put gets queue_shut_down, and so
  /// does one that waits to get an item that will not come. A second call is harmless; an immediate
  /// one drops what a graceful one left.
  void shutdown(bool immediate = false) {
    // Destroyed last: the destructors of items are the user's, and run with no lock held.
    std::optional<decltype(buffer_.take_all())> dropped;
    work_list todo;
    {
      const hold locked(*this);
      if (immediate) dropped.emplace(buffer_.take_all());
      close(dropped ? dropped->size() : 0, todo);
    }
    todo.settle();
  }

 protected:
  template <class... Args>
  explicit basic_queue(std::ptrdiff_t max_size, Args&&... args)
      : queue_core(max_size), buffer_(std::forward<Args>(args)...) {}
  /// Takes the lock once. The task that let the queue's owner go on may still hold it.
  ~basic_queue() { const hold last(*this); }

 private:
  // The lock is held. Result `done`: the caller schedules `woken`, if it is set, after the unlock.
  put_result put_in(cell<T>& item, task_record*& woken) {
    if (const auto may = may_put(); may != put_result::done) return may;
    buffer_.push(std::move(item));
    woken = added();
    return put_result::done;
  }
  get_result take_out(std::optional<cell<T>>& item, task_record*& woken) {
    if (const auto may = may_get(); may != get_result::done) return may;
    item.emplace(buffer_.pop());
    woken = taken();
    return get_result::done;
  }

  put_result insert(cell<T>& item) {
    task_record* woken = nullptr;
    put_result came;
    {
      const hold locked(*this);
      came = put_in(item, woken);
    }
    if (woken) schedule(*woken);
    return came;
  }
  get_result remove(std::optional<cell<T>>& item) {
    task_record* woken = nullptr;
    get_result came;
    {
      const hold locked(*this);
      came = take_out(item, woken);
    }
    if (woken) schedule(*woken);
    return came;
  }
  static bool put_done(put_result r) {
    if (r == put_result::shut_down) throw_shut_down("put");
    return r == put_result::done;
  }
  static bool get_done(get_result r) {
    if (r == get_result::shut_down) throw_shut_down("get");
    return r == get_result::done;
  }
  Buffer buffer_;
};

template <class T, class Buffer>
class [[nodiscard("co_await it: by itself it does nothing")]] basic_queue<T, Buffer>::putting final
    : private queue_core::turn {
 public:
  putting(basic_queue& q, cell<T> item) noexcept : queue_(q), item_(std::move(item)) {}

  bool await_ready() { return !queue_.looks_full() && this->go_on() && put_now(); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    if (this->stands_back()) [[unlikely]] {
      if (this->stand_back(h, [this](task_record& t) { this->looks_later(t); })) return true;
      if (put_now()) return false;
    }
    return put_or_wait(h.promise().suspending(h));
  }
  void await_resume() {
    if (this->how_ != how::done) [[unlikely]]
      queue_.throw_reason(*this, side::putters);
  }

 private:
  using how = queue_core::turn::how;

  bool put_now() {
    if (!put_done(queue_.insert(item_))) return false;
    this->how_ = how::done;
    return true;
  }
  /// True: it waits. Then the caller touches nothing here: the task may run already.
  bool put_or_wait(task_record& t) noexcept {
    task_record* woken = nullptr;
    try {
      const hold locked(queue_);
      switch (queue_.put_in(item_, woken)) {
        case put_result::full: return queue_.wait(*this, side::putters, t);
        case put_result::shut_down: this->was_shut_down(); break;
        case put_result::done: this->how_ = how::done; break;
      }
    } catch (...) { this->fail(); }
    if (woken) schedule(*woken);
    return false;
  }
  bool look_again() noexcept override {
    return cancelled_at_resume(*this) || !put_or_wait(*this->task);
  }
  void leave() noexcept override { queue_.leave(*this, side::putters); }
  const char* name() const noexcept override { return "queue.put"; }

  basic_queue& queue_;
  cell<T> item_;
};

template <class T, class Buffer>
class [[nodiscard("co_await it: by itself it does nothing")]] basic_queue<T, Buffer>::getting final
    : private queue_core::turn {
 public:
  explicit getting(basic_queue& q) noexcept : queue_(q) {}

  bool await_ready() { return !queue_.looks_empty() && this->go_on() && get_now(); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    if (this->stands_back()) [[unlikely]] {
      if (this->stand_back(h, [this](task_record& t) { this->looks_later(t); })) return true;
      if (get_now()) return false;
    }
    return get_or_wait(h.promise().suspending(h));
  }
  T await_resume() {
    if (this->how_ != how::done) [[unlikely]]
      queue_.throw_reason(*this, side::getters);
    return item_->take();
  }

 private:
  using how = queue_core::turn::how;

  bool get_now() {
    if (!get_done(queue_.remove(item_))) return false;
    this->how_ = how::done;
    return true;
  }
  /// True: it waits. Then the caller touches nothing here: the task may run already.
  bool get_or_wait(task_record& t) noexcept {
    task_record* woken = nullptr;
    try {
      const hold locked(queue_);
      switch (queue_.take_out(item_, woken)) {
        case get_result::empty: return queue_.wait(*this, side::getters, t);
        case get_result::shut_down: this->was_shut_down(); break;
        case get_result::done: this->how_ = how::done; break;
      }
    } catch (...) { this->fail(); }
    if (woken) schedule(*woken);
    return false;
  }
  bool look_again() noexcept override {
    return cancelled_at_resume(*this) || !get_or_wait(*this->task);
  }
  void leave() noexcept override { queue_.leave(*this, side::getters); }
  const char* name() const noexcept override { return "queue.get"; }

  basic_queue& queue_;
  std::optional<cell<T>> item_;
};

}  // namespace detail

/// Carries items from the tasks that put them to the tasks that get them: first in, first out. Up
/// to `max_size` items wait in it; 0 or less means no bound.
///
///     h::queue<int> q(1);
///     co_await q.put(1);
///
/// Cost      put and get when ready: 1 locked operation, and no allocation once the ring has grown.
///           A wait allocates nothing
/// Ordering  put() synchronizes-with the get() of its item. Each getter sees the items of one
///           putter in the order in which they were put. The task that waits longest is woken
///           first, but a newcomer may be faster than a woken task that has not run yet
/// Cancel    a cancelled get() took nothing, a cancelled put() put nothing. If it was woken before,
///           it wakes the next task in its place
/// Throws    cancelled_error from a wait; queue_shut_down; queue_full and queue_empty from the
///           _nowait forms. A queue that is destroyed while tasks wait in it ends the process
/// Danger    items are moved under the queue's lock, and a priority_queue compares them there.
///           Their moves and comparisons must not use the queue
template <class T>
class queue final : public detail::basic_queue<T, detail::fifo_buffer<detail::cell<T>>> {
 public:
  explicit queue(std::ptrdiff_t max_size = 0)
      : detail::basic_queue<T, detail::fifo_buffer<detail::cell<T>>>(max_size) {}
};

/// A `queue` that gives the latest item first.
template <class T>
class lifo_queue final : public detail::basic_queue<T, detail::lifo_buffer<detail::cell<T>>> {
 public:
  explicit lifo_queue(std::ptrdiff_t max_size = 0)
      : detail::basic_queue<T, detail::lifo_buffer<detail::cell<T>>>(max_size) {}
};

/// A `queue` that gives the least item first, by `Less`, which must not throw. Equal items come in
/// any order.
template <class T, class Less = std::less<T>>
class priority_queue final
    : public detail::basic_queue<T, detail::priority_buffer<detail::cell<T>, Less>> {
 public:
  explicit priority_queue(std::ptrdiff_t max_size = 0, Less less = {})
      : detail::basic_queue<T, detail::priority_buffer<detail::cell<T>, Less>>(max_size,
                                                                               std::move(less)) {}
};

}  // namespace heddle
