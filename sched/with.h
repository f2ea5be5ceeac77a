// SPDX-License-Identifier: MIT
// with: enters something, runs a body, and exits it however the body ends (async with).
//
//   session s;
//   const auto length = co_await h::with(s, [](std::string& c) { return c.size(); });
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

/// Something that can be entered and exited. `enter()` and `exit(std::exception_ptr)` return tasks.
/// The task of exit may yield a bool: true swallows the error.
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
/// What `with` yields: nothing if the body yields nothing; an optional if exit may swallow the
/// error.
template <class M, class F>
using with_result =
    std::conditional_t<std::is_void_v<with_value<M, F>> || !may_swallow<std::remove_reference_t<M>>,
                       with_value<M, F>, std::optional<with_value<M, F>>>;

/// Enters the manager and runs the body.
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

/// Awaits `manager.enter()`. Calls `body` with what that yields, or with nothing, and awaits the
/// result if it can be awaited. Then awaits `manager.exit(error)`, where `error` is null or what
/// the body threw, a cancellation included.
///
/// An lvalue manager is used where it is. An rvalue manager is kept until the end, and so is
/// `body`.
/// Yields    what the body yields. If exit may swallow errors (it yields a bool), an optional of
///           that, which is empty after exit has swallowed one.
/// Cost      two frames, and those of enter and exit
/// Throws    what the body throws, unless exit swallows it; what exit throws, in place of that. If
///           enter throws, neither body nor exit runs.
/// Cancel    exit runs after a cancellation of the body as after an error, and may await. It is not
///           protected from a further cancellation.
template <class M, class F>
  requires async_manager<std::remove_reference_t<M>>
[[nodiscard]] auto with(M&& manager, F body) {
  return detail::with_manager<M, F>(std::forward<M>(manager), std::move(body));
}

}  // namespace heddle
