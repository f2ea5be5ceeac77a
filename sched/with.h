// SPDX-License-Identifier: MIT
// with: enter something, run a body, leave it, whatever happens (async with).
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/task.h>
#include <heddle/sched/runtime/body.h>

#include <concepts>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace heddle {

/// Something that is entered and left: `enter()` and `exit(std::exception_ptr)` return tasks;
/// exit's may yield a bool, true to swallow the error.
template <class M>
concept async_manager = requires(M& m, std::exception_ptr error) {
  requires detail::is_task<decltype(m.enter())>;
  requires detail::is_task<decltype(m.exit(error))>;
};

namespace detail {

template <class M>
using entered_value = typename task_value<decltype(std::declval<M&>().enter())>::type;
template <class M>
inline constexpr bool may_swallow =
    !std::is_void_v<typename task_value<decltype(std::declval<M&>().exit(nullptr))>::type>;

template <class F, class V>
struct with_body {
  static decltype(auto) call(F& f, V& value) {
    if constexpr (std::invocable<F&, V&>)
      return detail::invoke(f, value);
    else if constexpr (std::invocable<F&, V>)
      return detail::invoke(f, std::move(value));
    else
      return detail::invoke(f);
  }
  using result = decltype(call(std::declval<F&>(), std::declval<V&>()));
};
template <class F>
struct with_body<F, void> {
  using result = decltype(detail::invoke(std::declval<F&>()));
};

template <class M, class F>
using with_value = std::remove_cvref_t<typename body_value<
    typename with_body<F, entered_value<std::remove_reference_t<M>>>::result>::type>;
/// What the whole yields: nothing where the body yields nothing; an optional where the error may
/// have been swallowed.
template <class M, class F>
using with_result =
    std::conditional_t<std::is_void_v<with_value<M, F>> || !may_swallow<std::remove_reference_t<M>>,
                       with_value<M, F>, std::optional<with_value<M, F>>>;

/// Enters and runs the body.
template <class M, class F>
task<with_value<M, F>> enter_and_run(M& manager, F& body, bool& entered) {
  using value = entered_value<M>;
  using result = typename with_body<F, value>::result;
  auto entry = manager.enter();
  if constexpr (std::is_void_v<value>) {
    co_await std::move(entry);
    entered = true;
    if constexpr (body_value<result>::awaited) {
      result running = detail::invoke(body);
      co_return co_await in_place<result>(running);
    } else {
      co_return detail::invoke(body);
    }
  } else {
    value got = co_await std::move(entry);
    entered = true;
    if constexpr (body_value<result>::awaited) {
      result running = with_body<F, value>::call(body, got);
      co_return co_await in_place<result>(running);
    } else {
      co_return with_body<F, value>::call(body, got);
    }
  }
}

template <class M, class F>
task<with_result<M, F>> with_manager(M manager, F body) {
  using plain = std::remove_reference_t<M>;
  using value = with_value<M, F>;
  bool entered = false;
  std::exception_ptr error;
  auto inside = enter_and_run<plain, F>(manager, body, entered);
  if constexpr (std::is_void_v<value>) {
    try {
      co_await std::move(inside);
    } catch (...) { error = std::current_exception(); }
    if (!entered) std::rethrow_exception(std::move(error));
    auto leaving = manager.exit(error);
    if constexpr (may_swallow<plain>) {
      const bool swallow = co_await std::move(leaving);
      if (swallow) co_return;
    } else {
      co_await std::move(leaving);
    }
    if (error) std::rethrow_exception(std::move(error));
  } else {
    std::optional<value> result;
    try {
      result.emplace(co_await std::move(inside));
    } catch (...) { error = std::current_exception(); }
    if (!entered) std::rethrow_exception(std::move(error));
    auto leaving = manager.exit(error);
    if constexpr (may_swallow<plain>) {
      const bool swallow = co_await std::move(leaving);
      if (error && !swallow) std::rethrow_exception(std::move(error));
      co_return std::move(result);
    } else {
      co_await std::move(leaving);
      if (error) std::rethrow_exception(std::move(error));
      co_return std::move(*result);
    }
  }
}

}  // namespace detail

/// `async with`: awaits `manager.enter()`, calls `body` with what that yields (or with nothing),
/// awaits the body if it can be awaited, and then `manager.exit(error)`, however the body ended:
/// null, or what it threw, a cancellation included.
///
///   co_await h::with(session, [&](connection& c) -> h::task<> { co_await c.send("hello"); });
///
/// Yields what the body yields; if exit may swallow errors (it yields a bool), an optional of that,
/// empty after it did.
/// Throws    what the body throws, unless swallowed; what exit throws instead of that. If enter
///           throws, the rest does not happen.
/// Cancel    exit runs after a cancellation of the body as after an error, and may await; it is not
///           protected from another one.
/// An lvalue manager is used where it is, an rvalue is kept until the end; so is the body.
template <class M, class F>
  requires async_manager<std::remove_reference_t<M>>
[[nodiscard]] auto with(M&& manager, F body) {
  return detail::with_manager<M, F>(std::forward<M>(manager), std::move(body));
}

}  // namespace heddle
