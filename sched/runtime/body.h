// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// The bodies of scopes: callables that return a task, or something else that is awaited, or are
// plain ones.
#pragma once

#include <heddle/core/base/config.h>

#include <concepts>
#include <coroutine>
#include <source_location>
#include <type_traits>
#include <utility>

namespace heddle::detail {

/// What awaiting the outcome of a body yields; what is not awaitable is the result itself.
template <class R>
struct body_value {
  using type = std::remove_cvref_t<R>;
  static constexpr bool awaited = false;
};
template <>
struct body_value<void> {
  using type = void;
  static constexpr bool awaited = false;
};
template <class R>
  requires requires(R&& r) { std::forward<R>(r).operator co_await(); }
struct body_value<R> {
  using type = decltype(std::declval<R>().operator co_await().await_resume());
  static constexpr bool awaited = true;
};

/// An awaiter: what the operations of primitives return.
template <class R>
concept plain_awaiter = requires(R&& r) {
  { r.await_ready() } -> std::convertible_to<bool>;
  r.await_resume();
};
template <plain_awaiter R>
  requires(!requires(R&& r) { std::forward<R>(r).operator co_await(); })
struct body_value<R> {
  using type = decltype(std::declval<R>().await_resume());
  static constexpr bool awaited = true;
};

/// Awaits an awaiter where it stands.
template <class A>
class awaiter_reference {
 public:
  explicit awaiter_reference(A& of) noexcept : of_(of) {}
  bool await_ready() { return of_.await_ready(); }
  template <class P>
  auto await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if constexpr (requires { of_.await_suspend(h, where); })
      return of_.await_suspend(h, where);
    else
      return of_.await_suspend(h);
  }
  decltype(auto) await_resume() { return of_.await_resume(); }

 private:
  A& of_;
};

/// `co_await in_place<R>(r)` is `co_await std::forward<R>(r)` with r, a local of type R, awaited
/// where it stands: of what a call yields by reference g++ 12 makes a copy, which the awaiters of
/// primitives do not have.
template <class R>
auto in_place(std::remove_reference_t<R>& r) {
  if constexpr (requires { std::forward<R>(r).operator co_await(); })
    return std::forward<R>(r).operator co_await();
  else
    return awaiter_reference<std::remove_reference_t<R>>(r);
}

}  // namespace heddle::detail
