// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// The awaiter of the primitives that hand over what is waited for: one leaf wait in one wait_queue.
#pragma once

#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>
#include <heddle/core/task.h>

#include <concepts>
#include <coroutine>

namespace heddle::detail {

/// What an operation waits for. `try_now` takes it without waiting. `wait_in` does so after all, or
/// suspends the task: true; false also when a cancellation was due (then the waiter is refused).
/// `give_back` undoes a hand-over that a cancellation overtook. It names its `queue()`, or, if the
/// lock is not that of one wait_queue, has a `leave(w)`.
template <class What>
concept awaited = requires(What& what, waiter& w, task_record& t) {
  { what.try_now() } noexcept -> std::same_as<bool>;
  { what.wait_in(w, t) } noexcept -> std::same_as<bool>;
  { what.give_back() } noexcept;
  { what.result() };
  { What::name } -> std::convertible_to<const char*>;
};

template <class What>
concept leaves_by_itself = requires(What& what, waiter& w) {
  { what.leave(w) } noexcept;
};

/// The primitive keeps those that it has let go until they run on (protocol LEAVERS). `back`: what
/// was handed over is given back in the same step, since the primitive may be gone after it.
template <class What>
concept told_when_it_runs_on = requires(What& what, waiter& w, bool back) {
  { what.runs_on(w, back) } noexcept;
};

/// `co_await` it: once, where it was made. It lives in the frame of the caller and is the entry in
/// the queue.
template <class What>
class [[nodiscard("co_await it: by itself it does nothing")]] operation final
    : private waiter,
      private ready_await {
 public:
  explicit operation(What what) noexcept : what_(what) {
    // Not on the class: a primitive names this type while What is still being defined.
    static_assert(awaited<What>);
  }

  bool await_ready() noexcept { return what_.try_now() && go_on(); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    if (stands_back()) {
      given = true;  // what await_ready took, for a cancellation to give back
      return stand_back(h, [this](task_record& t) { task = &t; });
    }
    return what_.wait_in(*this, h.promise().suspending(h));
  }
  auto await_resume() {
    const bool cancelled = cancelled_at_resume(*this);
    bool keeps = given;
    if constexpr (told_when_it_runs_on<What>) {
      if (given && !stands_back()) {
        what_.runs_on(*this, cancelled);
        keeps = false;
      }
    }
    if (cancelled) [[unlikely]] {
      if (keeps) what_.give_back();
      throw_cancelled(*task);
    }
    return what_.result();
  }

 private:
  void leave() noexcept override {
    if constexpr (leaves_by_itself<What>)
      what_.leave(*this);
    else
      what_.queue().leave(*this);
  }
  const char* name() const noexcept override { return What::name; }

  [[no_unique_address]] What what_;
};

}  // namespace heddle::detail
