// SPDX-License-Identifier: MIT
// task_group, with_task_group: tasks that are over when the block is left.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime/body.h>

#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {

struct group_access;

/// A link in a ring; a ring's head is a link of its own.
struct group_link {
  group_link() noexcept = default;
  group_link(const group_link&) = delete;
  group_link& operator=(const group_link&) = delete;

  [[nodiscard]] bool alone() const noexcept { return after == this; }
  void remove() noexcept {
    before->after = after;
    after->before = before;
    before = after = this;
  }
  /// As the last of `ring`.
  void enter(group_link& ring) noexcept {
    before = ring.before;
    after = &ring;
    before->after = this;
    ring.before = this;
  }

  group_link* before = this;
  group_link* after = this;
};

}  // namespace detail

/// Tasks that end before the block does: the group of `with_task_group`.
///
/// The first child that fails cancels its siblings and the body; what failed leaves the block as an
/// exception_group. With one loop the cancellation comes after what was ready by then, as a
/// callback of asyncio's would: children that fail in the same turn are all kept. A child that ends
/// cancelled is no failure. What a child yields is read from its handle.
/// Cost      per child a task and 96 bytes from the thread's cache, which are given back when it
///           ends; 2 locked operations to enter the group, 1 to leave it
/// Thread-safety  create_task from any task of the runtime, cancel from any thread; entered by one
///                task, once
class task_group {
 public:
  /// For a group that must exist before its block does: `with_task_group(group, body)`.
  task_group() noexcept = default;
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;
  ~task_group();

  /// heddle::create_task, as a child of this group. From the body, from children, and after the
  /// body has ended as long as one child lives.
  /// Throws    usage_error before the group is entered, when it is over, and once it is being
  ///           cancelled; the task is then destroyed unstarted. What heddle::create_task throws.
  template <class T>
  task_handle<T> create_task(task<T> t, const task_options& options,
                             std::source_location made = std::source_location::current()) {
    auto& record = detail::make_root(std::move(t), made);
    task_handle<T> handle(&record);
    start(record, options);
    return handle;
  }
  template <class T>
  task_handle<T> create_task(task<T> t,
                             std::source_location made = std::source_location::current()) {
    const task_options plain;
    return create_task(std::move(t), plain, made);
  }
  /// The same for a callable and its arguments, which are kept for as long as the child lives.
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
    const task_options plain;
    return create_task(detail::kept_call_of<F, A, B, C, D>(std::forward<F>(f), std::forward<A>(a),
                                                           std::forward<B>(b), std::forward<C>(c),
                                                           std::forward<D>(d)),
                       plain, made);
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
    const task_options plain;
    return create_task(detail::kept_call(std::forward<F>(f), std::forward<As>(as)...), plain,
                       std::source_location());
  }

  /// Cancels the children and the body; the block is then left without an error, unless one of them
  /// failed. Again, or after the end: nothing. Before the block is entered: as soon as it is. From
  /// any thread.
  void cancel() noexcept;

 private:
  friend struct detail::group_access;
  struct child;
  struct later;

  void start(detail::task_record& t, const task_options& options);
  void admit(child& c);
  void gone(child& c, bool failed, detail::work_list& todo) noexcept;
  void let_go(detail::work_list& todo) noexcept;
  void abort(detail::work_list& todo) noexcept;
  [[nodiscard]] bool abort_later() noexcept;

  // The lock of all_ended_ guards everything below; parent_ and requests_at_entry_ do not change
  // once the group is entered.
  detail::wait_queue all_ended_;  // the parent, when it leaves
  detail::group_link running_;
  detail::group_link asked_;   // running, and asked to cancel
  detail::group_link failed_;  // ended, in that order
  std::size_t count_ = 0;      // running, and those who work on the group without its lock
  detail::task_record* parent_ = nullptr;
  std::uint32_t requests_at_entry_ = 0;
  bool entered_ = false;
  bool cancel_at_entry_ = false;
  bool aborting_ = false;      // nobody is admitted any more
  bool abort_queued_ = false;  // a callback of the loop will see to that
  bool own_request_ = false;   // the parent was cancelled by this group
  bool leaving_ = false;       // the body has ended
  bool interrupted_ = false;   // the parent was cancelled while it left
};

namespace detail {

/// The steps of the block, for with_task_group.
struct group_access {
  static void enter(task_group& g, task_record& parent);
  static void body_ended(task_group& g, bool failed) noexcept;
  static void interrupted(task_group& g) noexcept;
  /// All have ended. Throws what is to leave the block.
  static void leave(task_group& g, std::exception_ptr of_body);
  /// True: nobody is left.
  [[nodiscard]] static bool empty(task_group& g) noexcept;
  [[nodiscard]] static bool wait_in(task_group& g, waiter& w, task_record& t) noexcept;
  static wait_queue& queue(task_group& g) noexcept { return g.all_ended_; }
};

/// Enters: the record of the task that runs the block (a strand takes one of its own).
class enter_group {
 public:
  explicit enter_group(task_group& g) noexcept : group_(&g) {}
  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    group_access::enter(*group_, h.promise().suspending(h));
    return false;
  }
  static void await_resume() noexcept {}

 private:
  task_group* group_;
};

/// Waits for the last child; yields false if a cancellation came first.
class exit_group final : private queue_waiter {
 public:
  explicit exit_group(task_group& g) noexcept : queue_waiter(group_access::queue(g)), group_(&g) {}
  bool await_ready() noexcept { return group_access::empty(*group_); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    return group_access::wait_in(*group_, *this, h.promise().suspending(h));
  }
  bool await_resume() noexcept { return !cancelled_at_resume(*this); }

 private:
  const char* name() const noexcept override { return "task_group"; }
  task_group* group_;
};

/// A group of the block's own, or the user's: a parameter of the block, and so alive as long as its
/// frame, not just until its end.
class own_group {
 public:
  own_group() noexcept = default;
  own_group(own_group&&) noexcept {}  // on its way into the frame: nobody knows it yet
  task_group& get() noexcept { return group_; }

 private:
  task_group group_;
};
class given_group {
 public:
  explicit given_group(task_group& g) noexcept : group_(&g) {}
  task_group& get() noexcept { return *group_; }

 private:
  task_group* group_;
};

[[noreturn]] void throw_no_value_of_body();

template <class Holder, class F>
task<std::remove_cvref_t<typename body_value<std::invoke_result_t<F&, task_group&>>::type>>
run_group(Holder holder, F body) {
  using result = std::invoke_result_t<F&, task_group&>;
  using value = std::remove_cvref_t<typename body_value<result>::type>;
  constexpr bool yields = !std::is_void_v<value>;
  task_group& group = holder.get();
  enter_group entry(group);
  co_await entry;
  std::exception_ptr error;
  [[maybe_unused]] std::optional<std::conditional_t<yields, value, char>> yielded;
  try {
    if constexpr (body_value<result>::awaited) {
      result inner = detail::invoke(body, group);
      if constexpr (yields) {
        auto&& v = co_await in_place<result>(inner);
        yielded.emplace(std::forward<decltype(v)>(v));
      } else {
        co_await in_place<result>(inner);
      }
    } else if constexpr (yields) {
      yielded.emplace(detail::invoke(body, group));
    } else {
      detail::invoke(body, group);
    }
  } catch (...) { error = std::current_exception(); }
  group_access::body_ended(group, error != nullptr);
  for (;;) {
    exit_group rest(group);
    const bool all_ended = co_await rest;
    if (all_ended) break;
    group_access::interrupted(group);
  }
  group_access::leave(group, std::move(error));
  if constexpr (yields) {
    if (!yielded) throw_no_value_of_body();
    co_return std::move(*yielded);
  }
}

}  // namespace detail

/// Runs `body`, which starts children in its group, and awaits them all: what was started in the
/// block is over when it is left.
///
///   int total = 0;                                             // safe: outside of the block
///   co_await h::with_task_group([&](h::task_group& g) -> h::task<> {
///     g.create_task(count, std::ref(total));
///     // int here = 0; g.create_task(count, std::ref(here)); // unsafe: locals of the body die
///     before the children end co_return;
///   });
///
/// `body` is a callable that returns a task, or a plain one; it is kept until the block is left,
/// and runs in the caller's task.
/// Yields    what `body` yields. cancelled_error if that was cut short by `cancel()` and there is a
///           value to yield.
/// Throws    exception_group, if a child or the body failed, with the errors in the order they
///           came; the first fatal_error by itself.
/// Cancel    of the task cancels the children, which are awaited; then cancelled_error, unless
///           something failed: then that, and the cancellation is delivered at the next wait.
template <class F>
  requires std::invocable<F&, task_group&>
[[nodiscard]] auto with_task_group(F body) {
  return detail::run_group(detail::own_group(), std::move(body));
}
/// The same for a group of the caller's, which others may know already. usage_error if it was
/// entered before.
template <class F>
  requires std::invocable<F&, task_group&>
[[nodiscard]] auto with_task_group(task_group& group, F body) {
  return detail::run_group(detail::given_group(group), std::move(body));
}

}  // namespace heddle
