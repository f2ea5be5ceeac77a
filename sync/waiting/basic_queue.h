// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// The verbs of the queues, over queue_core (which tasks wait) and a buffer (where the items are).
#pragma once

#include <heddle/core/errors.h>
#include <heddle/sync/waiting/buffers.h>
#include <heddle/sync/waiting/queue_core.h>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace heddle::detail {

/// What queue, lifo_queue and priority_queue share. The verbs are documented here; their costs,
/// ordering and cancellation at `queue` in sync/queue.h. Several tasks may call them at once. Those
/// that are not awaited may be called on any thread.
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

  bool await_ready() {
    this->check_fresh();
    return !queue_.looks_full() && this->go_on() && put_now();
  }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if (this->stands_back()) [[unlikely]] {
      if (this->stand_back(h, where, [this](task_record& t) { this->looks_later(t); })) return true;
      if (put_now()) return false;
    }
    task_record& t = h.promise().suspending(h, where);
    this->waits_here(t);
    return put_or_wait(t);
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

  bool await_ready() {
    this->check_fresh();
    return !queue_.looks_empty() && this->go_on() && get_now();
  }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if (this->stands_back()) [[unlikely]] {
      if (this->stand_back(h, where, [this](task_record& t) { this->looks_later(t); })) return true;
      if (get_now()) return false;
    }
    task_record& t = h.promise().suspending(h, where);
    this->waits_here(t);
    return get_or_wait(t);
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

}  // namespace heddle::detail
