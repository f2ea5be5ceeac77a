// SPDX-License-Identifier: MIT
// create_task: gives a coroutine an identity and starts it; task_handle: that identity, with its
// result.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/any_task.h>
#include <heddle/sched/runtime/spawn.h>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace heddle {

template <class T = void>
class task_handle;

namespace detail {

/// Throws what asyncio throws for a wait that cannot be: a task that awaits itself, an object of
/// another runtime.
[[noreturn]] HEDDLE_COLD void throw_not_joinable(task_record& waiting, eventual& target);
inline void check_joinable(task_record& waiting, eventual& target) {
  if (&target == &waiting.root() ||
      (target.runtime() != waiting.runtime() && target.runtime() != 0)) [[unlikely]]
    throw_not_joinable(waiting, target);
}
/// The cancellation of `target`, seen by who awaits it: with the target's message, or else with
/// that of the task that it came through.
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
  /// The result of a task that is done: the value, or thrown what it ended with.
  static reference of(task_record& t) {
    switch (t.how_ended()) {
      case outcome::value: return get(t);
      case outcome::error: t.mark_retrieved(); std::rethrow_exception(error_in(t.storage()));
      case outcome::cancelled: throw_target_cancelled(t);
      default: throw_not_done(t);
    }
  }
};

/// `Move`: the handle is given up to the await.
template <class T, bool Move>
class handle_awaiter : public join_wait, private ready_await {
 public:
  explicit handle_awaiter(task_handle<T>&& handle) noexcept
      : join_wait(*handle.record()), kept_(std::move(handle)) {}
  explicit handle_awaiter(const task_handle<T>& handle) noexcept : join_wait(*handle.record()) {}

  bool await_ready() noexcept { return ready() && go_on(); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    if (!kept_.valid()) {  // the handle may be assigned to while we wait
      record().ref();
      kept_ = task_handle<T>(&record());
    }
    if (stands_back()) return stand_back(h, [this](task_record& t) { ended_meanwhile(t); });
    task_record& t = h.promise().suspending(h);
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

  task_handle<T> kept_;  // taken when it suspends; at once if the handle is given up
};

}  // namespace detail

/// A task with its result. Copyable, counted; dropping it detaches: the runtime owns started tasks.
/// It may outlive task and runtime.
///
/// `co_await handle` joins: yields a reference to the result, which lives in the task's record, to
/// any number of tasks on any loop; `co_await std::move(handle)` moves the result out. Throws what
/// the task threw; `cancelled_error` if it was cancelled.
/// Cost      the await of a running task: 2 locked operations on the way in, 1 to be woken; of a
///           done one: a load.
/// Cancel    of the awaiting task goes to this task; the wait ends when this task ends, and not
///           before.
template <class T>
class task_handle : public any_task {
 public:
  using value_type = T;
  using any_task::any_task;

  /// The result of a task that is done. Throws invalid_state_error before that, what the task
  /// threw, or cancelled_error.
  decltype(auto) result() const { return detail::result_access<T>::of(at()); }
  /// The error of a task that is done, or null. Throws invalid_state_error before that;
  /// cancelled_error if it was cancelled.
  [[nodiscard]] std::exception_ptr exception() const {
    switch (at().how_ended()) {
      case detail::outcome::value: return nullptr;
      case detail::outcome::error: at().mark_retrieved(); return detail::error_in(at().storage());
      case detail::outcome::cancelled: detail::throw_target_cancelled(at());
      default: detail::throw_not_done(at());
    }
  }

  /// Calls `f(task_handle)` or `f()` on the loop of the caller (or, from a foreign thread, on one
  /// of the task's runtime) once the task is done; never inside this call. Callbacks added on one
  /// loop run in the order they were added. The handle may take it back. Dropped unrun if the
  /// runtime of that loop ends first; usage_error if it has ended.
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

/// A loop by number: what refers to it may outlive its runtime.
struct loop_name {
  runtime_number runtime;
  unsigned index;
};
/// The loop that a done-callback added here belongs to: the caller's, else the task's. Throws
/// usage_error if that runtime has ended.
loop_name callback_loop(task_record& t);
/// Puts a callback whose time has come into its loop's inbox, which takes over the reference.
/// False: the runtime has ended, and the callback is the caller's to drop, with no lock held.
[[nodiscard]] bool deliver_callback(loop_name where, callback& c) noexcept;

/// Waits for a task's end as a joiner, then is posted as a callback to a loop.
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
  c->ref_alone();  // the task's, then the queue's
  callback_handle handle(c);
  if (!t.add_joiner(*c) && !detail::deliver_callback(where, *c)) c->drop();
  return handle;
}

/// Makes a task of `t` and starts it: it runs on some loop soon, at the earliest at the caller's
/// next suspension if there is one loop.
/// Cost      a record from the thread's cache, one queue entry; no allocation after warm-up.
/// Throws    no_running_loop outside a runtime, usage_error for an empty task; then `t`'s frame is
///           destroyed unstarted.
/// Cancel    none here. The task is not the caller's child: cancel it by its handle, or use a task
///           group.
/// Thread-safety  call it from a task or callback; from foreign threads use runtime::submit.
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

/// The same for a callable and its arguments, which are kept (decayed, like std::thread's) for as
/// long as the task lives: the way to give a lambda with captures to a task. Up to four arguments;
/// behind more there is no room for the place of the call, which is then not known.
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
