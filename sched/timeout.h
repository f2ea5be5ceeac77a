// SPDX-License-Identifier: MIT
// timeout, timeout_at: a block with a deadline. When the deadline passes, the block is cancelled
// and timeout_error is thrown. wait_for builds on it.
//
//   const auto body = []() -> h::task<> { co_await h::sleep(1h); };
//   co_await h::timeout(1ms, body);      // throws h::timeout_error
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

/// How long a block may last. Either until `end`. Or, with `from_entry`, for as long as `end` is
/// after the clock's zero, counted from the entry. The entry then reads the clock once: it need not
/// ask whether the deadline is past already.
struct time_limit {
  std::optional<time_point> end;
  bool from_entry = false;

  [[nodiscard]] bool nothing_left() const noexcept {
    return end && *end <= (from_entry ? time_point() : clock::now());
  }
};
}  // namespace detail

/// The deadline of a block, seen from inside: the body of `timeout` may take a `timeout_scope&`.
///
/// When it expires it cancels the task that runs the block, once. The end of the block takes that
/// request back, so only the block is interrupted.
/// Thread-safety  only the task that runs the block may use it
class timeout_scope : private detail::timer_node, private detail::scope_link {
 public:
  timeout_scope(const timeout_scope&) = delete;

  /// The deadline, or nullopt if there is none.
  [[nodiscard]] std::optional<time_point> when() const noexcept { return deadline_; }
  /// True: the deadline passed while the block ran (asyncio: expired()).
  [[nodiscard]] bool expired() const noexcept {
    // pairs with note_expired()
    return expired_.load(detail::acquire);
  }
  /// Moves the deadline; nullopt removes it. A deadline in the past cancels the task at its next
  /// suspension. Throws usage_error before the block is entered, after its end, and once it
  /// expired.
  void reschedule(std::optional<time_point> deadline);

 private:
  friend struct detail::scope_access;
  explicit timeout_scope(detail::time_limit limit) noexcept
      : timer_node(&fired), deadline_(limit.end), from_entry_(limit.from_entry) {}
  ~timeout_scope() = default;

  void enter(detail::task_record& t);
  /// The end of the block. `cancelled`: a cancelled_error has left the body. True: the scope has
  /// expired and its request was the only one left, so the cancelled_error becomes a timeout_error.
  /// A second call does nothing and returns false.
  [[nodiscard]] bool exit(bool cancelled) noexcept;
  void arm(time_point deadline);
  void arm_ahead(time_point deadline);
  void expire_at_once() noexcept;
  void expire_now() noexcept;
  void expire_if_armed() noexcept;
  bool disarm() noexcept;
  static void fired(detail::timer_node& node, detail::work_list& todo) noexcept;

  /// The block around this one. It belongs to the same task or strand, or to the task or strand
  /// that forked it.
  [[nodiscard]] timeout_scope* around() const noexcept {
    return static_cast<timeout_scope*>(outer);
  }
  void bring_about_what_is_due(bool was_armed) noexcept;
  /// How many blocks around this one have expired since it was entered, and have a later deadline.
  [[nodiscard]] std::uint32_t expired_after_this() const noexcept;
  void note_expired() noexcept;

  std::optional<time_point> deadline_;
  detail::task_record* task_ = nullptr;
  std::uint64_t expired_as_ = 0;            // its number among all that expired (protocol SCOPE)
  std::uint64_t expired_before_entry_ = 0;  // how many scopes of all tasks had expired by its entry
  std::uint32_t requests_at_entry_ = 0;
  detail::atomic<bool> expired_{false};
  bool at_once_ = false;  // the deadline was past when it was set, so there was no timer
  bool left_ = false;     // the block has ended
  bool from_entry_;       // until the entry deadline_ is a duration: see time_limit
};

namespace detail {

struct scope_access {
  class scope {
   public:
    scope(time_limit limit) noexcept : scope_(limit) {}
    scope(scope&& other) noexcept  // moved into the frame, before the entry
        : scope_(time_limit{other.scope_.deadline_, other.scope_.from_entry_}) {}
    timeout_scope& get() noexcept { return scope_; }
    void enter(task_record& t) { scope_.enter(t); }
    [[nodiscard]] bool exit(bool cancelled) noexcept { return scope_.exit(cancelled); }

   private:
    timeout_scope scope_;
  };
};

/// Enters the scope with the record of the task that runs the block. A strand takes a record of its
/// own for that.
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
    scope_access::scope scope, F body) {  // a parameter, so it lives as long as the frame
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
        (void)scope.exit(false);
        co_return;
      } else {
        value v = call_body(body, scope.get());
        (void)scope.exit(false);
        co_return v;
      }
    } else {
      result inner = call_body(body, scope.get());
      if constexpr (std::is_void_v<value>) {
        co_await in_place<result>(inner);
        (void)scope.exit(false);
        co_return;
      } else {
        value v = co_await in_place<result>(inner);
        (void)scope.exit(false);
        co_return std::forward<value>(v);
      }
    }
  } catch (const cancelled_error&) {
    error = std::current_exception();
    expired = scope.exit(true);
  } catch (...) {
    error = std::current_exception();
    expired = false;
    (void)scope.exit(false);
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

/// Runs `body` and yields its result. If `limit` passes first, the block is cancelled and awaited
/// to its end, and timeout_error is thrown.
///
/// `body` is a callable that returns a task, or a plain one. It may take a `timeout_scope&`. It is
/// kept until the end of the block, and runs in the caller's task. std::nullopt: no limit. The
/// limit counts from the entry into the block, as asyncio's wait_for counts, not from this call.
/// For a limit that counts before the entry use timeout_at.
/// Cost      one timer, one frame; the first block of a task or strand makes its extra block, some
///           30 ns
/// Nested    Several blocks may be due together. The one whose deadline came first throws, of equal
///           deadlines the outer one. The others let the cancellation pass. This holds too if a
///           fork_join lies between them.
/// Throws    timeout_error; what the body throws, or the move of its value; bad_value for a NaN. An
///           error of the body goes before timeout_error.
/// Cancel    from outside passes through the block as cancelled_error
template <class D, class F>
[[nodiscard]] auto timeout(D limit, F body) {
  return detail::run_with_deadline<F>(detail::limit_of(limit), std::move(body));
}
/// The same with a deadline, a point in time.
template <class F>
[[nodiscard]] auto timeout_at(std::optional<time_point> deadline, F body) {
  return detail::run_with_deadline<F>(detail::time_limit{deadline}, std::move(body));
}

}  // namespace heddle
