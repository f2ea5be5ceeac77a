// SPDX-License-Identifier: MIT
// wait_for: awaits one thing for a limited time. When the limit passes it is cancelled, and
// timeout_error is thrown.
//
//   const auto page = co_await h::wait_for(fetch("a"), 10s);
#pragma once

#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/timeout.h>

#include <type_traits>
#include <utility>

namespace heddle {
namespace detail {

template <class T>
task<T> wait_for_task(task<T> inner, time_limit limit) {
  if (limit.nothing_left()) {  // the body never starts, and counts as awaited all the same
    const drops_unstarted silently;
    { const task<T> gone = std::move(inner); }
    throw timeout_error();
  }
  auto body = [&inner]() -> task<T>& { return inner; };
  auto block = run_with_deadline(limit, body);
  co_return co_await block;
}

/// A handle or a future: it goes on whether it is awaited or not.
template <class A>
concept shared_awaitable =
    is_task_handle<std::remove_const_t<A>> || is_future<std::remove_const_t<A>>;

/// Anything else that can be awaited: a gathering, a shield, an operation of a primitive.
template <class A>
concept other_awaitable = !shared_awaitable<std::remove_cvref_t<A>> &&
                          !is_task<std::remove_cvref_t<A>> && body_value<A&&>::awaited;

/// A constant that can be awaited as a copy, such as a shield that a lambda has captured by value.
template <class A>
concept copied_awaitable = std::copy_constructible<A> && other_awaitable<A&>;

/// An rvalue that can be moved. What heddle gives out can be moved until it is awaited.
template <class A>
concept kept_awaitable =
    other_awaitable<A> && !std::is_reference_v<A> && std::move_constructible<A>;

/// An lvalue, or an rvalue of the user's that cannot be moved, such as an awaiter with a mutex.
template <class A>
concept referred_awaitable =
    other_awaitable<A> && !kept_awaitable<A> &&
    (!std::is_const_v<std::remove_reference_t<A>> || !copied_awaitable<std::remove_cvref_t<A>>);

}  // namespace detail

/// Awaits `inner` in the calling task, for at most `limit`, and yields its result. std::nullopt: no
/// limit.
///
/// If the limit passes first, `inner` is cancelled and awaited to its end, its cleanup included.
/// Then timeout_error is thrown. With a limit of zero or less `inner` never starts.
/// Cost      as timeout: one timer, and two frames
/// Throws    timeout_error; what `inner` throws
/// Cancel    passes on to `inner`
template <class T, class D>
[[nodiscard]] task<T> wait_for(task<T> inner, D limit) {
  return detail::wait_for_task(std::move(inner), detail::limit_of(limit));
}
/// The same for a handle or a future: its task or source is cancelled when the limit passes. One
/// that is done yields at once, whatever the limit. For an rvalue the result is moved out. For an
/// lvalue, constant or not, it yields a reference, which is valid as long as any handle lives.
template <detail::shared_awaitable A, class D>
[[nodiscard]] auto wait_for(A& shared, D limit) {
  return detail::run_with_deadline(detail::limit_of(limit),
                                   [kept = shared]() mutable -> const A& { return kept; });
}
template <detail::shared_awaitable A, class D>
[[nodiscard]] auto wait_for(A&& shared, D limit)
  requires(!std::is_lvalue_reference_v<A> && !std::is_const_v<A>)
{
  return detail::run_with_deadline(
      detail::limit_of(limit),
      [kept = std::move(shared)]() mutable -> A&& { return std::move(kept); });
}

/// The same for anything else that can be awaited. An rvalue is kept: a gathering, a shield, an
/// operation of a primitive or a stream. An lvalue must live until the wait is over.
///
///     auto item = h::wait_for(q.get(), 50ms);   // as good as to await it in one expression
///     use(co_await std::move(item));
template <detail::kept_awaitable A, class D>
[[nodiscard]] auto wait_for(A&& awaited, D limit) {
  return detail::run_with_deadline(
      detail::limit_of(limit),
      [kept = std::move(awaited)]() mutable -> A&& { return std::move(kept); });
}
template <detail::referred_awaitable A, class D>
[[nodiscard]] auto wait_for(A&& awaited HEDDLE_LIFETIME_BOUND, D limit) {
  return detail::run_with_deadline(
      detail::limit_of(limit), [place = &awaited]() -> A&& { return static_cast<A&&>(*place); });
}

/// The same for a constant that can be copied: the copy is awaited.
template <detail::copied_awaitable A, class D>
[[nodiscard]] auto wait_for(const A& awaited, D limit)
  requires(!detail::is_task<A>)
{
  return detail::run_with_deadline(detail::limit_of(limit),
                                   [kept = awaited]() mutable -> A&& { return std::move(kept); });
}

}  // namespace heddle
