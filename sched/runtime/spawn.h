// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// From a frame to a task: the record, the first queue entry, the end.
#pragma once

#include <heddle/core/base/thread_state.h>
#include <heddle/core/context.h>
#include <heddle/core/task.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/loop/awaited.h>
#include <heddle/sched/loop/task_end.h>

#include <optional>
#include <source_location>
#include <string>

namespace heddle {

/// How a task is created. The order of the fields is API: fields are appended, never reordered.
struct task_options {
  /// For people; empty: a default name.
  std::string name = {};
  /// Pins the task to this loop: it runs nowhere else, and nothing else of that loop runs between
  /// its awaits. nullptr: movable.
  class loop* loop = nullptr;
  /// The context it runs in, shared with whoever else has it; nullopt: a copy of the creator's.
  std::optional<class context> context = std::nullopt;
  /// Runs the first step inside create_task, up to the first suspension.
  bool eager = false;
};

namespace detail {

/// What a failing end makes of an error: cancelled (its message kept), fatal (reported to the
/// runtime), or an ordinary one.
outcome classify_error(task_record& t, const std::exception_ptr& error) noexcept;
/// The last steps of every task, after its result is stored and its frame destroyed.
void finish_root(task_record& t, outcome how, void (*destroy_result)(void*) noexcept) noexcept;
/// `waiting`, the running task, awaits `child`: see worker::run_awaited.
awaited_now run_awaited(task_record& waiting, task_record& child) noexcept;
/// Puts a new task into the queue of the loop it belongs to. Throws usage_error when the runtime
/// shuts down from outside.
void launch(task_record& t, const task_options& o);
void launch(task_record& t);
/// Starts a task of the library's own that closes something: no task factory sees it, and shutdown
/// lets it finish. Eager, or queued.
void launch_closing(task_record& t, bool eager) noexcept;
/// The same from a thread that is none of its loops. The runtime must not be able to end before
/// this returns.
void launch_closing_from_outside(class runtime_state& s, task_record& t);
/// For people: that `t`, which was refused, was destroyed before its first step, with its name and
/// where it was created.
std::string never_began(task_record& t, const task_options& o);
/// Its name and the other rare things.
void apply_options(task_record& t, const task_options& o);

template <class T>
struct root {
  static void destroy_result(void* storage) noexcept {
    if constexpr (std::is_reference_v<T>)
      (void)storage;
    else if constexpr (!std::is_void_v<T>)
      result_slot<T>::destroy(storage);
  }

  static std::coroutine_handle<> ended(promise_base& frame) noexcept {
    auto& p = static_cast<task_promise<T>&>(frame);
    task_record& t = frame.enclosing();
    outcome how = p.result.how();
    if (how == outcome::value) [[likely]] {
      if constexpr (!std::is_void_v<T>) {
        if constexpr (std::is_reference_v<T>) {
          *static_cast<std::remove_reference_t<T>**>(t.storage()) = p.result.value();
        } else {
          try {
            result_slot<T>::make(t.storage(), std::move(p.result.value()));
          } catch (...) {
            ::new (t.storage()) std::exception_ptr(std::current_exception());
            how = outcome::error;
          }
        }
      }
    } else {
      how = classify_error(t, p.result.error());
      if (how == outcome::error)
        ::new (t.storage()) std::exception_ptr(std::move(p.result.error()));
    }
    std::coroutine_handle<task_promise<T>>::from_promise(p).destroy();
    finish_root(t, how, how == outcome::value ? &destroy_result : nullptr);
    return std::noop_coroutine();
  }

  static void destroy(promise_base& frame) noexcept {
    std::coroutine_handle<task_promise<T>>::from_promise(static_cast<task_promise<T>&>(frame))
        .destroy();
  }

  static void drop(eventual& self) noexcept {
    auto& t = static_cast<task_record&>(self);
    switch (t.how_ended()) {
      case outcome::value: destroy_result(t.storage()); break;
      case outcome::error: {
        auto& error = error_in(t.storage());
        if (!t.is_retrieved()) return report_unretrieved(t, error);
        std::destroy_at(&error);
        break;
      }
      default: break;
    }
    t.recycle();
  }

  static constexpr root_end end{{&ended, nullptr}, &destroy};
  static constexpr eventual_ops ops{&drop, nullptr, nullptr};
};

/// Gives `child` a record, with two references: the runtime's and the caller's. Not yet in any
/// queue. `made`: whose call made it.
template <class T>
task_record& make_root(task<T>&& child, std::source_location made = {}) {
  if (!child.valid())
    throw_usage("create_task of an empty task: it was moved from, awaited, or never made");
  if (child.frame().promise().continuation)
    throw_usage("create_task of a task that was awaited before: a task runs once");
  task_record* t = task_record::make(kind::task, root<T>::ops, 2, made);
  auto frame = child.release();
  promise_base& p = frame.promise();
  p.record = reinterpret_cast<std::uintptr_t>(t);
  p.end.ends_by(root<T>::end);
  t->starts_at(frame.address());
  return *t;
}

/// Keeps a callable and its arguments for as long as the task that it makes lives.
template <class R, class F, class... Args>
task<R> call_and_keep(F f, Args... args) {
  co_return co_await detail::invoke(std::move(f), std::move(args)...);
}

template <class F, class... Args>
concept task_function =
    std::invocable<F, Args...> && is_task<std::remove_cvref_t<std::invoke_result_t<F, Args...>>>;

// A callable and its arguments, and after them the place of the call.
//
// Problem   `create_task(f, a, b)` is to remember where it stands: a default argument
//           std::source_location::current(). Behind a parameter pack there can be none.
// Rejected  An overload for each number of arguments: six times as many candidates for each of four
//           verbs, and all of them in the compiler's answer to a call that fits none. A pack from a
//           class's deduction guide: the verbs would be classes.
// Chosen    Four parameters that may be left out, and one overload with a pack for what has more
//           arguments: that one knows no place.

/// Stands for an argument that was left out. An object and no temporary: g++ 12 miscompiles
/// temporaries of default arguments in co_await expressions. Nothing converts to it, so that `{}`
/// is not taken for it.
class left_out {
 public:
  explicit constexpr left_out(int) noexcept {}
};
inline constexpr left_out omitted{0};
using no_argument = const left_out&;

template <class A>
concept is_left_out = std::is_same_v<A, no_argument>;

/// `f(as...)` makes a task.
template <class F, class... As>
concept makes_task = task_function<std::decay_t<F>, std::decay_t<As>...>;
/// The same, where the last ones may have been left out.
template <class F, class A, class B, class C, class D>
concept makes_task_of =
    (is_left_out<A> && makes_task<F>) || (!is_left_out<A> && is_left_out<B> && makes_task<F, A>) ||
    (!is_left_out<B> && is_left_out<C> && makes_task<F, A, B>) ||
    (!is_left_out<C> && is_left_out<D> && makes_task<F, A, B, C>) ||
    (!is_left_out<D> && makes_task<F, A, B, C, D>);

/// The task of `f(a...)`, which keeps both (decayed, like std::thread's).
template <class F, class... As>
auto kept_call(F&& f, As&&... as) {
  using result = std::remove_cvref_t<std::invoke_result_t<std::decay_t<F>, std::decay_t<As>...>>;
  using value = typename task_value<result>::type;
  return call_and_keep<value, std::decay_t<F>, std::decay_t<As>...>(std::forward<F>(f),
                                                                    std::forward<As>(as)...);
}
/// The same, where the last ones may have been left out.
template <class F, class A, class B, class C, class D>
auto kept_call_of(F&& f, A&& a, B&& b, C&& c, D&& d) {
  if constexpr (is_left_out<A>)
    return kept_call(std::forward<F>(f));
  else if constexpr (is_left_out<B>)
    return kept_call(std::forward<F>(f), std::forward<A>(a));
  else if constexpr (is_left_out<C>)
    return kept_call(std::forward<F>(f), std::forward<A>(a), std::forward<B>(b));
  else if constexpr (is_left_out<D>)
    return kept_call(std::forward<F>(f), std::forward<A>(a), std::forward<B>(b),
                     std::forward<C>(c));
  else
    return kept_call(std::forward<F>(f), std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                     std::forward<D>(d));
}

}  // namespace detail
}  // namespace heddle
