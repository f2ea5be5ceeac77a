// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// The awaiter of the primitives that hand over what is waited for. It is one leaf wait in one
// wait_queue (protocol WAIT, core/record/wait.h).
#pragma once

#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>
#include <heddle/core/task.h>

#include <concepts>
#include <coroutine>
#include <source_location>

namespace heddle::detail {

/// What an operation waits for: the part that a primitive writes itself.
///
///   try_now    takes it without waiting, if it is there
///   wait_in    looks again under the primitive's lock. True: the task is suspended. False: it was
///              there after all and is taken, or a cancellation was due (`w.refused` says so)
///   give_back  undoes a hand-over, when a cancellation came after it
///   result     what `co_await` yields
///   name       names the wait in reports of what a task waits for
///
/// It also has `queue()`, its wait_queue. If leaving takes more than to unlink, it has `leave(w)`
/// instead.
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

/// The primitive keeps its leavers until they run on (protocol LEAVERS, leavers.h). `back`: what
/// was handed over is given back in the same step. A later step could meet a destroyed primitive.
template <class What>
concept told_when_it_runs_on = requires(What& what, waiter& w, bool back) {
  { what.runs_on(w, back) } noexcept;
};

/// Its try and the count of the budget are one call: see at_once.
template <class What>
concept counts_itself = requires(What& what) {
  { what.take_at_once() } noexcept -> std::same_as<at_once>;
};

/// The awaiter. It stands in the frame of the caller and is itself the entry in the queue, so a
/// wait allocates nothing. Awaited a second time it throws usage_error if it has waited. If it has
/// not waited, it is the same operation once more.
template <class What>
class [[nodiscard("co_await it: by itself it does nothing")]] operation final
    : private waiter,
      private ready_await {
 public:
  explicit operation(What what) noexcept : what_(what) {
    // Not a constraint of the class: a primitive names this type while What is incomplete.
    static_assert(awaited<What>);
  }

  bool await_ready() {
    check_fresh();
    if constexpr (counts_itself<What>) return go_on_after(what_.take_at_once());
    return what_.try_now() && go_on();
  }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if (stands_back())
      return stand_back(h, where, [this](task_record& t) {
        task = &t;
        given = true;  // await_ready took it: a cancellation at the resume has to give it back
      });
    return what_.wait_in(*this, h.promise().suspending(h, where));
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
  template <class>
  friend struct layout_of;
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
