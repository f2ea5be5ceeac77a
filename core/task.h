// SPDX-License-Identifier: MIT
// task<T>: a lazy coroutine. `co_await some_task()` is a plain call: it runs under its caller's
// identity, by symmetric transfer.
//
//   h::task<int> sum_to(int n) {
//     if (n == 0) co_return 0;
//     auto rest = sum_to(n - 1);
//     co_return n + co_await std::move(rest);
//   }
#pragma once

#include <heddle/core/base/config.h>
#include <heddle/core/errors.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/task_record.h>

#include <bit>
#include <concepts>
#include <coroutine>
#include <exception>
#include <source_location>
#include <type_traits>
#include <utility>

namespace heddle {

template <class T = void>
class task;

namespace detail {

struct promise_base;

/// What happens at the end of a frame that no other frame awaits: the root of a task, or a strand.
struct frame_end {
  /// Returns what runs next on this thread.
  std::coroutine_handle<> (*ended)(promise_base& frame) noexcept;
  /// Called when an exception leaves the frame, before it ends. May be nullptr.
  void (*failed)(promise_base& frame) noexcept;
};

/// How a frame ends. A plain call goes on in the frame that awaits it. Then the place of that
/// co_await stands here, for readers; null: not known. Any other frame has a frame_end, whose
/// address is tagged.
class call_or_end {
 public:
  [[nodiscard]] bool is_call() const noexcept { return (bits_ & end_tag) == 0; }
  void called_at(std::source_location where) noexcept {
    if constexpr (notes_places) bits_ = std::bit_cast<std::uintptr_t>(where);
  }
  void ends_by(const frame_end& e) noexcept { *this = by(&e); }
  /// For what is to be constructed there.
  [[nodiscard]] static call_or_end by(const frame_end* e) noexcept {
    call_or_end made;
    made.bits_ = reinterpret_cast<std::uintptr_t>(e) + end_tag;
    return made;
  }
  /// Only of what is no call.
  [[nodiscard]] frame_end& own() const noexcept {
    return *reinterpret_cast<frame_end*>(bits_ - end_tag);
  }
  /// Of a call: where it is awaited; line 0: not known.
  [[nodiscard]] std::source_location place() const noexcept {
    return std::bit_cast<std::source_location>(bits_);
  }
  /// 0: it was not awaited, or it is a call whose place is not known.
  [[nodiscard]] std::uintptr_t bits() const noexcept { return bits_; }
  friend bool operator==(call_or_end, call_or_end) noexcept = default;

 private:
  static constexpr std::uintptr_t end_tag = 1;
  std::uintptr_t bits_ = 0;
};

/// The part of every promise that does not depend on the result. 24 bytes.
//
// A frame finds its task through `record`, a pointer. In a strand without a record of its own it is
// the pointer of the enclosing record, with strand_tag set. A frame that is called copies the word
// of its caller. So no thread-local is asked on the way to a wait.
//
// Before the frame is awaited or given away, the word holds the place of the call
// (std::source_location), with unawaited_tag set. A task that is destroyed with that tag was never
// awaited.
struct promise_base {
  std::coroutine_handle<> continuation;  // the frame that awaits this one; none for roots
  std::uintptr_t record = 0;
  call_or_end end;

  static constexpr std::uintptr_t strand_tag = 1;
  static constexpr std::uintptr_t unawaited_tag = 2;

  static void* operator new(std::size_t bytes) { return frame_allocate(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { frame_free(frame, bytes); }

  static std::suspend_always initial_suspend() noexcept { return {}; }

  struct final_awaiter {
    static bool await_ready() noexcept { return false; }
    template <class P>
    static std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
      promise_base& p = h.promise();
      if (p.end.is_call()) [[likely]]
        return p.continuation;
      return p.end.own().ended(p);
    }
    static void await_resume() noexcept {}
  };
  static final_awaiter final_suspend() noexcept { return {}; }

  void tell_failure() noexcept {
    if (!end.is_call() && end.own().failed) end.own().failed(*this);
  }
  /// The task that this frame belongs to.
  [[nodiscard]] task_record& enclosing() const noexcept {
    return *reinterpret_cast<task_record*>(record & ~strand_tag);
  }
  /// The record to suspend under. A strand without one takes one now. `self`: the frame that
  /// suspends, in the co_await at `where`.
  [[nodiscard]] task_record& suspending(std::coroutine_handle<> self, std::source_location where) {
    task_record& r = suspending(self);
    r.waits_at(where);
    return r;
  }
  /// The same for an awaiter that only asks for the record, and then goes on.
  [[nodiscard]] task_record& suspending(std::coroutine_handle<> self) {
    if (record & strand_tag) [[unlikely]]
      promote();
    auto& r = *reinterpret_cast<task_record*>(record);
    r.resumes_at(self.address());
    return r;
  }
  /// Gives this strand a record of its own, and writes it into all frames of the strand.
  HEDDLE_COLD void promote();

  [[nodiscard]] std::coroutine_handle<> handle() noexcept {
    return std::coroutine_handle<promise_base>::from_promise(*this);
  }
  /// The promise of any frame of the library. Promises are aligned to 16 bytes at most (see
  /// promise_result), so the part common to all of them stands at one place in every frame.
  static promise_base& of(std::coroutine_handle<> h) noexcept {
    return std::coroutine_handle<promise_base>::from_address(h.address()).promise();
  }

 protected:
  promise_base() = default;
  ~promise_base() = default;
};

/// A result or an error. It stays in the promise until the awaiting frame takes it.
template <class T>
class promise_result {
 public:
  promise_result() noexcept {}
  promise_result(const promise_result&) = delete;
  ~promise_result() { clear(); }

  template <class U>
  void emplace(U&& value) {
    result_slot<T>::make(storage_, std::forward<U>(value));
    how_ = outcome::value;
  }
  void fail(std::exception_ptr e) noexcept {
    ::new (static_cast<void*>(storage_)) std::exception_ptr(std::move(e));
    how_ = outcome::error;
  }
  [[nodiscard]] outcome how() const noexcept { return how_; }
  [[nodiscard]] T& value() noexcept { return result_slot<T>::get(storage_); }
  [[nodiscard]] std::exception_ptr& error() noexcept { return error_in(storage_); }
  T take() {
    if (how_ == outcome::error) [[unlikely]]
      std::rethrow_exception(std::move(error()));
    return take_value();
  }
  /// The caller knows that there is one.
  T take_value() { return std::move(value()); }

 private:
  void clear() noexcept {
    if (how_ == outcome::value)
      result_slot<T>::destroy(storage_);
    else if (how_ == outcome::error)
      std::destroy_at(&error());
  }
  static constexpr std::size_t size = result_slot<T>::fits && sizeof(T) > 8 ? sizeof(T) : 8;
  alignas(8) std::byte storage_[size];
  outcome how_ = outcome::none;
};

template <class T>
class promise_result<T&> {
 public:
  void emplace(T& value) noexcept { value_ = &value; }
  void fail(std::exception_ptr e) noexcept { error_ = std::move(e); }
  [[nodiscard]] outcome how() const noexcept {
    return error_ ? outcome::error : value_ ? outcome::value : outcome::none;
  }
  [[nodiscard]] T*& value() noexcept { return value_; }
  [[nodiscard]] std::exception_ptr& error() noexcept { return error_; }
  T& take() {
    if (error_) [[unlikely]]
      std::rethrow_exception(std::move(error_));
    return take_value();
  }
  T& take_value() noexcept { return *value_; }

 private:
  T* value_ = nullptr;
  std::exception_ptr error_;
};

template <>
class promise_result<void> {
 public:
  void fail(std::exception_ptr e) noexcept { error_ = std::move(e); }
  [[nodiscard]] outcome how() const noexcept { return error_ ? outcome::error : outcome::value; }
  [[nodiscard]] std::exception_ptr& error() noexcept { return error_; }
  void take() {
    if (error_) [[unlikely]]
      std::rethrow_exception(std::move(error_));
  }

 private:
  std::exception_ptr error_;
};

template <class T>
struct task_promise final : promise_base {
  promise_result<T> result;

  task<T> get_return_object(std::source_location made = std::source_location::current()) noexcept;
  void unhandled_exception() noexcept {
    result.fail(std::current_exception());
    tell_failure();
  }
  template <class U = T>
    requires std::convertible_to<U, T>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
};

template <class T>
struct task_promise<T&> final : promise_base {
  promise_result<T&> result;

  task<T&> get_return_object(std::source_location made = std::source_location::current()) noexcept;
  void unhandled_exception() noexcept {
    result.fail(std::current_exception());
    tell_failure();
  }
  void return_value(T& value) noexcept { result.emplace(value); }
};

template <>
struct task_promise<void> final : promise_base {
  promise_result<void> result;

  task<void> get_return_object(
      std::source_location made = std::source_location::current()) noexcept;
  void unhandled_exception() noexcept {
    result.fail(std::current_exception());
    tell_failure();
  }
  void return_void() noexcept {}
};

/// Destroys a coroutine that was neither awaited nor given away, and reports that in debug mode. An
/// argument of it that is such a coroutine too is not reported: its cause is the same.
HEDDLE_COLD void drop_never_awaited(promise_base& frame) noexcept;
/// While one lives on this thread, drop_never_awaited() reports nothing. It is for frames that
/// never begin, since their task was cancelled or refused: what they hold cannot have been awaited.
class drops_unstarted {
 public:
  drops_unstarted() noexcept;
  drops_unstarted(const drops_unstarted&) = delete;
  ~drops_unstarted();

 private:
  bool outside_;
};

/// A promise of this library. Every awaiter of the library asks for one, to find the task.
template <class P>
concept heddle_promise = std::derived_from<P, promise_base>;

}  // namespace detail

/// A coroutine that has not started. `co_await` runs it inline, under the caller's task.
/// `create_task` gives it an identity of its own.
///
/// Move-only. It starts when it is awaited, at most once. If it is destroyed before that, its frame
/// and its arguments are destroyed.
/// Cost      one frame from the thread's cache (some 8 ns), no allocation after warm-up, no atomic
///           operation.
/// Throws    what the coroutine throws; `usage_error` if it is empty or was awaited before.
/// Cancel    a plain call is no cancellation point; the waits inside it are.
/// Thread-safety  one owner at a time.
template <class T>
class [[nodiscard("a task does nothing until it is awaited or given to create_task")]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task() noexcept = default;
  explicit task(std::coroutine_handle<promise_type> h) noexcept : frame_(h) {}
  task(task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      drop();
      frame_ = std::exchange(other.frame_, {});
    }
    return *this;
  }
  HEDDLE_INLINE ~task() { drop(); }

  /// False: moved from, or default-constructed.
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(frame_); }

  auto operator co_await() && {
    check();
    return awaiter{frame_};
  }
  auto operator co_await() & {
    check();
    return awaiter{frame_};
  }

  /// For the library: gives up the frame.
  [[nodiscard]] std::coroutine_handle<promise_type> release() noexcept {
    return std::exchange(frame_, {});
  }
  /// For the library: the frame, still owned.
  [[nodiscard]] std::coroutine_handle<promise_type> frame() const noexcept { return frame_; }

 private:
  struct awaiter {
    std::coroutine_handle<promise_type> child;

    static bool await_ready() noexcept { return false; }
    template <detail::heddle_promise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> caller,
                                          std::source_location where = HEDDLE_HERE) noexcept {
      auto& p = child.promise();
      p.end.called_at(where);
      p.continuation = caller;
      p.record = static_cast<detail::promise_base&>(caller.promise()).record;
      return child;
    }
    T await_resume() { return child.promise().result.take(); }
  };

  // A test of one bit, which an awaited task no longer has.
  HEDDLE_INLINE void drop() noexcept {
    if (!frame_) return;
    if (frame_.promise().record & detail::promise_base::unawaited_tag) [[unlikely]]
      detail::drop_never_awaited(frame_.promise());
    else
      frame_.destroy();
  }

  void check() const {
    if (!frame_)
      detail::throw_usage(
          "co_await of an empty task: it was moved from, given to create_task, or never made");
    if (frame_.promise().continuation)
      detail::throw_usage("co_await of a task that was awaited before: a task runs once");
  }

  std::coroutine_handle<promise_type> frame_{};
};

namespace detail {
template <class T>
task<T> task_promise<T>::get_return_object(std::source_location made) noexcept {
  record = std::bit_cast<std::uintptr_t>(made) + unawaited_tag;
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}
template <class T>
task<T&> task_promise<T&>::get_return_object(std::source_location made) noexcept {
  record = std::bit_cast<std::uintptr_t>(made) + unawaited_tag;
  return task<T&>(std::coroutine_handle<task_promise>::from_promise(*this));
}
inline task<void> task_promise<void>::get_return_object(std::source_location made) noexcept {
  record = std::bit_cast<std::uintptr_t>(made) + unawaited_tag;
  return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

template <class T>
struct task_value {};
template <class T>
struct task_value<task<T>> {
  using type = T;
};
}  // namespace detail

}  // namespace heddle
