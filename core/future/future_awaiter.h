// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
#pragma once

#include <heddle/core/future/future_state.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>

#include <coroutine>
#include <type_traits>
#include <utility>

namespace heddle::detail {

/// Awaits the end. Cancelling the task goes to the future. `Moves`: the result is moved out.
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
  bool await_suspend(std::coroutine_handle<P> h) {
    if (!keeps_) state().ref();  // the handle may be assigned to while we wait
    keeps_ = true;
    if (stands_back()) return stand_back(h, [this](task_record& t) { ended_meanwhile(t); });
    return suspend(h.promise().suspending(h));
  }
  auto await_resume() -> std::conditional_t<Moves, T, typename future_traits<T>::reference> {
    auto& f = state();
    const auto how = f.how_ended();
    if (how == outcome::error)
      f.mark_retrieved();  // also if a cancellation of the task takes its place
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

  bool keeps_ = false;  // a reference, from its suspension on; at once if the result is to be moved
};

}  // namespace heddle::detail
