// SPDX-License-Identifier: MIT
// timeout, timeout_at: a scope with a deadline. wait_for builds on it.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/sched/runtime/body.h>
#include <heddle/sched/sleep.h>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {
struct scope_access;

/// How long a block may last: until `end`; or, counted from its entry, which then need not ask
/// again whether the end is past, for as long as `end` is after the clock's zero.
struct time_limit {
  std::optional<time_point> end;
  bool from_entry = false;

  [[nodiscard]] bool nothing_left() const noexcept {
    return end && *end <= (from_entry ? time_point() : clock::now());
  }
};
}  // namespace detail

/// The deadline of a block, seen from inside: the body of `timeout` may take a `timeout_scope&`. It
/// belongs to the task that runs the block.
///
/// Expiry cancels the task once; leaving the block takes that request back, so only the block is
/// interrupted.
class timeout_scope : private detail::timer_node, private detail::scope_link {
 public:
  timeout_scope(const timeout_scope&) = delete;

  /// The deadline, or none.
  [[nodiscard]] std::optional<time_point> when() const noexcept { return deadline_; }
  /// The deadline passed while the block ran (asyncio: expired()).
  [[nodiscard]] bool expired() const noexcept { return expired_.load(detail::acquire); }
  /// Moves the deadline; nullopt: none; the past: timeout_error at the next suspension. Throws
  /// usage_error before the block is entered, after it was left, and once it expired. Only the task
  /// that runs the block may call it.
  void reschedule(std::optional<time_point> deadline);

 private:
  friend struct detail::scope_access;
  explicit timeout_scope(detail::time_limit limit) noexcept
      : timer_node(&fired), deadline_(limit.end), from_entry_(limit.from_entry) {}
  ~timeout_scope() = default;

  void enter(detail::task_record& t);
  /// True: it expired and its request was the only one left: a cancelled_error becomes a
  /// timeout_error. `cancelled`: the body was left by a cancelled_error. Again: false, and nothing
  /// happens.
  [[nodiscard]] bool leave(bool cancelled) noexcept;
  void arm(time_point deadline);
  void arm_ahead(time_point deadline);
  void expire_at_once() noexcept;
  void expire_now() noexcept;
  void expire_if_armed() noexcept;
  bool disarm() noexcept;
  static void fired(detail::timer_node& node, detail::work_list& todo) noexcept;

  /// The block around this one, of the same task or strand, or of what that was forked by.
  [[nodiscard]] timeout_scope* around() const noexcept {
    return static_cast<timeout_scope*>(outer);
  }
  void bring_about_what_is_due(bool was_armed) noexcept;
  /// Enclosing blocks that expired since this one was entered, and whose deadline came after this
  /// one's.
  [[nodiscard]] std::uint32_t expired_after_this() const noexcept;
  void note_expired() noexcept;

  std::optional<time_point> deadline_;
  detail::task_record* task_ = nullptr;
  std::uint64_t expired_as_ = 0;            // the how many-th (protocol SCOPE, timeout.cpp)
  std::uint64_t expired_before_entry_ = 0;  // so many had, of any task
  std::uint32_t requests_at_entry_ = 0;
  detail::atomic<bool> expired_{false};
  bool at_once_ = false;  // the deadline was past when it was set: there was no timer
  bool left_ = false;
  bool from_entry_;  // until the entry: deadline_ is a time_limit's
};

namespace detail {

struct scope_access {
  class scope {
   public:
    scope(time_limit limit) noexcept : scope_(limit) {}
    scope(scope&& other) noexcept  // on its way into the frame
        : scope_(time_limit{other.scope_.deadline_, other.scope_.from_entry_}) {}
    timeout_scope& get() noexcept { return scope_; }
    void enter(task_record& t) { scope_.enter(t); }
    [[nodiscard]] bool leave(bool cancelled) noexcept { return scope_.leave(cancelled); }

   private:
    timeout_scope scope_;
  };
};

/// Enters: the record of the task that runs the block (a strand takes one of its own).
class enter_scope {
 public:
  explicit enter_scope(scope_access::scope& s) noexcept : scope_(&s) {}
  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    scope_->enter(h.promise().suspending(h));
    return false;
  }
  static void await_resume() noexcept {}

 private:
  scope_access::scope* scope_;
};

template <class F>
decltype(auto) call_body(F& f, timeout_scope& s) {
  if constexpr (std::invocable<F&, timeout_scope&>)
    return detail::invoke(f, s);
  else
    return detail::invoke(f);
}
template <class F>
using body_result = decltype(call_body(std::declval<F&>(), std::declval<timeout_scope&>()));

template <class F>
task<typename body_value<body_result<F>>::type> run_with_deadline(
    scope_access::scope scope, F body) {  // a parameter: it may be asked as long as the frame lives
  using result = body_result<F>;
  using value = typename body_value<result>::type;
  enter_scope entry(scope);
  co_await entry;
  bool expired;
  std::exception_ptr error;
  try {
    if constexpr (!body_value<result>::awaited) {
      if constexpr (std::is_void_v<value>) {
        call_body(body, scope.get());
        (void)scope.leave(false);
        co_return;
      } else {
        value v = call_body(body, scope.get());
        (void)scope.leave(false);
        co_return v;
      }
    } else {
      result inner = call_body(body, scope.get());
      if constexpr (std::is_void_v<value>) {
        co_await in_place<result>(inner);
        (void)scope.leave(false);
        co_return;
      } else {
        value v = co_await in_place<result>(inner);
        (void)scope.leave(false);
        co_return std::forward<value>(v);
      }
    }
  } catch (const cancelled_error&) {
    error = std::current_exception();
    expired = scope.leave(true);
  } catch (...) {
    error = std::current_exception();
    expired = false;
    (void)scope.leave(false);
  }
  if (expired) throw timeout_error();
  std::rethrow_exception(std::move(error));
}

template <class Rep, class Period>
time_limit limit_of(std::chrono::duration<Rep, Period> d) {
  return {time_point(to_duration(d)), true};
}
inline time_limit limit_of(any_duration d) noexcept { return {time_point(d.get()), true}; }
inline time_limit limit_of(std::nullopt_t) noexcept { return {}; }
inline time_limit limit_of(const std::optional<any_duration>& d) noexcept {
  return d ? limit_of(*d) : time_limit{};
}
template <class Rep, class Period>
time_limit limit_of(const std::optional<std::chrono::duration<Rep, Period>>& d) {
  return d ? limit_of(*d) : time_limit{};
}

}  // namespace detail

/// Runs `body` (a callable that returns a task, or a plain one; it may take a `timeout_scope&`) and
/// yields its result; when `limit` passes first, the block is cancelled, awaited to its end, and
/// timeout_error thrown. std::nullopt: no limit. It counts from the entry into the block, as
/// asyncio's wait_for counts, not from this call; for a limit that holds before that, timeout_at.
///
///   co_await h::timeout(2s, [&]() -> h::task<> { co_await handshake(); co_await login(); });
///
/// `body` is kept until the block has ended. It runs in the caller's task.
/// Cost      one timer, one frame; the first block of a task or strand makes its extra block, some
///           30 ns.
/// Nested    of blocks that are due together the one whose deadline came first throws, of equal
///           deadlines the outer one; the others let the cancellation through. Also where a
///           fork_join lies between them.
/// Throws    timeout_error; what the body throws (an error during expiry wins over timeout_error),
///           or the move of its value; bad_value for a NaN.
/// Cancel    from outside passes through as cancelled_error.
template <class D, class F>
[[nodiscard]] auto timeout(D limit, F body) {
  return detail::run_with_deadline<F>(detail::limit_of(limit), std::move(body));
}
/// The same with the deadline given as a point in time.
template <class F>
[[nodiscard]] auto timeout_at(std::optional<time_point> deadline, F body) {
  return detail::run_with_deadline<F>(detail::time_limit{deadline}, std::move(body));
}

}  // namespace heddle
