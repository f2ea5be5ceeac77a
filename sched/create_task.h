// SPDX-License-Identifier: MIT
// create_task: gives a coroutine an identity and starts it, beside its creator. task_handle: that
// task, with its result.
//
//   auto page = h::create_task(fetch("a"));
//   auto other = h::create_task(fetch("b"));         // both are under way
//   const auto both = co_await page + co_await other;
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/any_task.h>
#include <heddle/sched/runtime/spawn.h>

#include <concepts>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace heddle {

template <class T = void>
class task_handle;

namespace detail {

/// Throws what asyncio throws for a wait that cannot end: of a task for itself, or for an object of
/// another runtime.
[[noreturn]] HEDDLE_COLD void throw_not_joinable(task_record& waiting, eventual& target);
inline void check_joinable(task_record& waiting, eventual& target) {
  if (&target == &waiting.root() ||
      (target.runtime() != waiting.runtime() && target.runtime() != 0)) [[unlikely]]
    throw_not_joinable(waiting, target);
}
/// Throws the cancellation of `target` in the task that awaits it: with the target's message, or
/// else with the message of the task through which the cancellation came.
[[noreturn]] void throw_target_cancelled(task_record& target, task_record* through = nullptr);
[[noreturn]] void throw_not_done(task_record& target);

template <class T>
struct result_access {
  using reference = std::add_lvalue_reference_t<T>;
  static reference get(task_record& t) {
    if constexpr (std::is_reference_v<T>)
      return **static_cast<std::remove_reference_t<T>**>(t.storage());
    else if constexpr (!std::is_void_v<T>)
      return result_slot<T>::get(t.storage());
  }
  /// The value of a task that is done; else throws what the task ended with.
  static reference of(task_record& t) {
    switch (t.how_ended()) {
      case outcome::value: return get(t);
      case outcome::error: t.mark_retrieved(); std::rethrow_exception(error_in(t.storage()));
      case outcome::cancelled: throw_target_cancelled(t);
      default: throw_not_done(t);
    }
  }
};

/// The await of a handle. `Move`: the handle is an rvalue, so its result is moved out.
template <class T, bool Move>
class handle_awaiter : public join_wait, private ready_await {
 public:
  explicit handle_awaiter(task_handle<T>&& handle) noexcept
      : join_wait(*handle.record()), kept_(std::move(handle)) {}
  explicit handle_awaiter(const task_handle<T>& handle) noexcept : join_wait(*handle.record()) {}

  bool await_ready() noexcept { return ready() && go_on(); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if (!kept_.valid()) {  // the handle may be assigned to during the wait
      record().ref();
      kept_ = task_handle<T>(&record());
    }
    if (stands_back()) return stand_back(h, where, [this](task_record& t) { ended_meanwhile(t); });
    task_record& t = h.promise().suspending(h, where);
    check_joinable(t, *target());
    const auto how = run_awaited(t, record());
    if (how == awaited_now::elsewhere) return join_wait::suspend(t);
    ended_meanwhile(t);
    if (how == awaited_now::ended) return false;
    reschedule(t);
    return true;
  }
  auto await_resume() -> std::conditional_t<Move, T, typename result_access<T>::reference> {
    const auto how = record().how_ended();
    if (how == outcome::error)
      record().mark_retrieved();  // also if a cancellation of the task takes its place
    check_cancel();
    if (how == outcome::cancelled) [[unlikely]]
      throw_target_cancelled(record(), cancelled_through());
    if constexpr (Move && !std::is_void_v<T> && !std::is_reference_v<T>)
      return std::move(result_access<T>::of(record()));
    else
      return result_access<T>::of(record());
  }

 private:
  [[nodiscard]] task_record& record() const noexcept {
    return static_cast<task_record&>(awaited());
  }

  task_handle<T> kept_;  // an rvalue handle, or a copy that is made before it suspends
};

}  // namespace detail

/// A task with its result. Copyable and counted. Dropping it detaches: the runtime owns started
/// tasks. It may outlive the task and its runtime.
///
/// `co_await handle` waits for the task and yields a reference to its result, which lives in the
/// task's record. Any number of tasks on any loop may await it. `co_await std::move(handle)` moves
/// the result out.
/// Cost      for a running task 2 locked operations to wait and 1 to be woken; for a done one a
///           load
/// Throws    what the task threw; `cancelled_error` if it was cancelled
/// Cancel    of the awaiting task goes to this task. The wait ends when this task ends, not before.
template <class T>
class task_handle : public any_task {
 public:
  using value_type = T;
  using any_task::any_task;

  /// The result of a task that is done. Throws what the task threw; cancelled_error if it was
  /// cancelled; invalid_state_error if it is not done.
  decltype(auto) result() const { return detail::result_access<T>::of(at()); }
  /// The error of a task that is done, or null. Throws cancelled_error if it was cancelled;
  /// invalid_state_error if it is not done.
  [[nodiscard]] std::exception_ptr exception() const {
    switch (at().how_ended()) {
      case detail::outcome::value: return nullptr;
      case detail::outcome::error: at().mark_retrieved(); return detail::error_in(at().storage());
      case detail::outcome::cancelled: detail::throw_target_cancelled(at());
      default: detail::throw_not_done(at());
    }
  }

  /// Calls `f(task_handle)` or `f()` once the task is done; never inside this call. `f` runs on the
  /// loop of the caller; from a foreign thread, on a loop of the task's runtime. Callbacks that
  /// were added on one loop run in the order of adding. The returned handle can cancel the
  /// callback. `f` is dropped unrun if the runtime of that loop ends first. Throws usage_error if
  /// it has ended.
  template <class F>
  callback_handle add_done_callback(F&& f) const;

  [[nodiscard]] auto operator co_await() const& {
    (void)at();
    return detail::handle_awaiter<T, false>(*this);
  }
  [[nodiscard]] auto operator co_await() && {
    (void)at();
    return detail::handle_awaiter<T, true>(std::move(*this));
  }
};

namespace detail {

template <class T>
inline constexpr bool is_task_handle = false;
template <class T>
inline constexpr bool is_task_handle<task_handle<T>> = true;

/// A loop by number, for what may outlive the runtime of the loop.
struct loop_name {
  runtime_number runtime;
  unsigned index;
};
/// The loop that a done-callback added here belongs to: the caller's, else the task's. Throws
/// usage_error if that runtime has ended.
loop_name callback_loop(task_record& t);
/// Puts a callback whose time has come into the inbox of its loop, which takes over the reference.
/// False: the runtime has ended. The caller then drops the callback, with no lock held.
[[nodiscard]] bool deliver_callback(loop_name where, callback& c) noexcept;

/// First a joiner of a task; when the task ends, a callback that is posted to a loop.
template <class F, class T>
class done_callback_of final : public callback, public join_node {
 public:
  template <class G>
  done_callback_of(G&& f, loop_name where, task_handle<T> t)
      : join_node(&fired), function_(std::forward<G>(f)), where_(where), task_(std::move(t)) {}

 private:
  static void fired(join_node& node, eventual&, work_list&) noexcept;
  void invoke() override {
    auto t = std::move(task_);
    if constexpr (std::invocable<F&, task_handle<T>>)
      detail::invoke(*function_, std::move(t));
    else
      detail::invoke(*function_);
  }
  void release() noexcept override {
    function_.reset();
    task_ = {};
  }
  bool disarm() noexcept override { return task_.record()->remove_joiner(*this); }

  std::optional<F> function_;
  loop_name where_;
  task_handle<T> task_;
};

template <class F, class T>
void done_callback_of<F, T>::fired(join_node& node, eventual&, work_list& todo) noexcept {
  auto& self = static_cast<done_callback_of&>(node);
  if (deliver_callback(self.where_, self)) return;
  todo.afterwards(node, [](join_node& n) noexcept { static_cast<done_callback_of&>(n).drop(); });
}

}  // namespace detail

template <class T>
template <class F>
callback_handle task_handle<T>::add_done_callback(F&& f) const {
  auto& t = at();
  const auto where = detail::callback_loop(t);
  auto* c = new detail::done_callback_of<std::decay_t<F>, T>(std::forward<F>(f), where, *this);
  c->context = detail::inherited_context();
  c->ref_unshared();  // the reference of the task's joiners, and then of the inbox
  callback_handle handle(c);
  if (!t.add_joiner(*c) && !detail::deliver_callback(where, *c)) c->drop();
  return handle;
}

/// Makes a task of `t` and starts it. It runs soon, on some loop. With one loop it does not run
/// before the caller's next suspension.
/// Cost      a record from the thread's cache, one queue entry; no allocation after warm-up
/// Throws    no_running_loop outside a runtime, usage_error for an empty task; the frame of `t` is
///           then destroyed unstarted
/// Cancel    of the caller does not reach the task, which is not its child. Cancel the task by its
///           handle, or use a task group.
/// Thread-safety  call it from a task or a callback; from foreign threads use runtime::submit
template <class T>
task_handle<T> create_task(task<T> t, const task_options& options,
                           std::source_location made = std::source_location::current()) {
  auto& record = detail::make_root(std::move(t), made);
  task_handle<T> handle(&record);
  detail::launch(record, options);
  return handle;
}

// An overload and not a default argument: g++ 12 miscompiles an aggregate temporary inside a
// co_await expression, and `co_await create_task(f())` shall be safe.
template <class T>
task_handle<T> create_task(task<T> t, std::source_location made = std::source_location::current()) {
  auto& record = detail::make_root(std::move(t), made);
  task_handle<T> handle(&record);
  detail::launch(record);
  return handle;
}

/// The same for a callable and its arguments. They are kept (decayed, as std::thread does) for as
/// long as the task lives. So this is the way to make a task of a lambda with captures. With up to
/// four arguments the task knows the place of this call. With more it does not, since no default
/// argument can follow a parameter pack.
template <class F, class A = detail::no_argument, class B = detail::no_argument,
          class C = detail::no_argument, class D = detail::no_argument>
  requires detail::makes_task_of<F, A, B, C, D>
auto create_task(const task_options& options, F&& f, A&& a = detail::omitted,
                 B&& b = detail::omitted, C&& c = detail::omitted, D&& d = detail::omitted,
                 std::source_location made = std::source_location::current()) {
  return create_task(detail::kept_call_of<F, A, B, C, D>(std::forward<F>(f), std::forward<A>(a),
                                                         std::forward<B>(b), std::forward<C>(c),
                                                         std::forward<D>(d)),
                     options, made);
}
template <class F, class A = detail::no_argument, class B = detail::no_argument,
          class C = detail::no_argument, class D = detail::no_argument>
  requires detail::makes_task_of<F, A, B, C, D>
auto create_task(F&& f, A&& a = detail::omitted, B&& b = detail::omitted, C&& c = detail::omitted,
                 D&& d = detail::omitted,
                 std::source_location made = std::source_location::current()) {
  return create_task(detail::kept_call_of<F, A, B, C, D>(std::forward<F>(f), std::forward<A>(a),
                                                         std::forward<B>(b), std::forward<C>(c),
                                                         std::forward<D>(d)),
                     made);
}
template <class F, class... As>
  requires(sizeof...(As) > 4 && detail::makes_task<F, As...>)
auto create_task(const task_options& options, F&& f, As&&... as) {
  return create_task(detail::kept_call(std::forward<F>(f), std::forward<As>(as)...), options,
                     std::source_location());
}
template <class F, class... As>
  requires(sizeof...(As) > 4 && detail::makes_task<F, As...>)
auto create_task(F&& f, As&&... as) {
  return create_task(detail::kept_call(std::forward<F>(f), std::forward<As>(as)...),
                     std::source_location());
}

}  // namespace heddle
