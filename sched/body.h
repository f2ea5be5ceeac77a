// SPDX-License-Identifier: MIT
// The bodies of scopes: callables that return a task, or something else that is awaited, or are plain ones.
#pragma once

#include <concepts>
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

}  // namespace heddle::detail
