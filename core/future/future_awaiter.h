// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// How a task awaits a future.
#pragma once

#include <heddle/core/future/future_state.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>

#include <coroutine>
#include <source_location>
#include <type_traits>
#include <utility>

namespace heddle::detail {

/// Awaits the end. A cancellation of the task goes to the future. `Moves`: the result is moved out.
template <class T, bool Moves>
class future_awaiter final : private join_wait, private ready_await {
 public:
  explicit future_awaiter(future_state<T>& f) noexcept : join_wait(f) {}
  /// Takes over a reference.
  explicit future_awaiter(future_ref<T> f) noexcept : join_wait(*f.release()), keeps_(true) {}
  ~future_awaiter() {
    if (keeps_) state().unref();
  }

  bool await_ready() {
    if (ready()) return go_on();
    state().check_runtime();
    return false;
  }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if (!keeps_) state().ref();  // the handle may be assigned to while the task waits
    keeps_ = true;
    if (stands_back()) return stand_back(h, where, [this](task_record& t) { ended_meanwhile(t); });
    return suspend(h.promise().suspending(h, where));
  }
  auto await_resume() -> std::conditional_t<Moves, T, typename future_traits<T>::reference> {
    auto& f = state();
    const auto how = f.how_ended();
    // Also if a cancellation of the task is thrown in place of the error.
    if (how == outcome::error) f.mark_retrieved();
    check_cancel();
    if (how == outcome::cancelled) [[unlikely]]
      f.throw_cancellation(suspended());
    if constexpr (Moves && !std::is_reference_v<T> && !std::is_void_v<T>)
      return std::move(f.value());
    else
      return f.value();
  }

 private:
  [[nodiscard]] future_state<T>& state() const noexcept {
    return static_cast<future_state<T>&>(awaited());
  }

  // It has a reference: from its suspension on; from the beginning if the result is moved out.
  bool keeps_ = false;
};

}  // namespace heddle::detail
