// SPDX-License-Identifier: MIT
// with_task_group: runs a block and awaits all tasks that were started in it. task_group: the group
// of such a block.
//
//   std::string a, b;                                // outside of the block: they outlive it
//   co_await h::with_task_group([&](h::task_group& g) {
//     g.create_task(into, std::ref(a), "a");
//     g.create_task(into, std::ref(b), "b");
//   });                                              // both have ended here
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime/body.h>

#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {

struct group_access;

/// A link in a ring. The head of a ring is a link too; the ring is empty if the head is alone.
struct group_link {
  group_link() noexcept = default;
  group_link(const group_link&) = delete;
  group_link& operator=(const group_link&) = delete;

  [[nodiscard]] bool empty() const noexcept { return after == this; }
  void remove() noexcept {
    before->after = after;
    after->before = before;
    before = after = this;
  }
  /// Becomes the last link of `ring`.
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

/// The group of `with_task_group`: tasks that end before the block does.
///
/// The first child that fails cancels the other children and the body. The block then throws an
/// exception_group of all failures. With one loop the cancellation comes after what is ready by
/// then, as a callback of asyncio's would. So the failures of children that fail in the same turn
/// are all kept. A child that ends cancelled is no failure. The result of a child is read from its
/// handle.
/// Cost      for each child a task, and 96 bytes from the thread's cache until the child ends;
///           2 locked operations to join the group, 1 at the end
/// Thread-safety  create_task from any task of the runtime, cancel from any thread; one task enters
///                the group, once
class task_group {
 public:
  /// Makes a group that must exist before its block: `with_task_group(group, body)`.
  task_group() noexcept = default;
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;
  ~task_group();

  /// Starts `t` as heddle::create_task does, as a child of this group. The body may call it,
  /// children may, and after the end of the body any task may while a child lives.
  /// Throws    usage_error before the group is entered, after its end, and once it is being
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

  /// Cancels the children and the body. The block then ends without an error, unless one of them
  /// failed. Before the block is entered, the cancellation comes at the entry. A second call, or
  /// one after the end, does nothing. From any thread.
  void cancel() noexcept;

 private:
  template <class>
  friend struct detail::layout_of;
  friend struct detail::group_access;
  struct child;
  struct later;

  void start(detail::task_record& t, const task_options& options);
  void admit(child& c);
  void gone(child& c, bool failed, detail::work_list& todo) noexcept;
  void let_go(detail::work_list& todo) noexcept;
  void abort(detail::work_list& todo) noexcept;
  [[nodiscard]] bool abort_later() noexcept;

  // The lock of all_ended_ guards everything below. parent_ and requests_at_entry_ do not change
  // once the group is entered.
  detail::wait_queue all_ended_;  // in which the parent waits at the end of the block
  detail::group_link running_;    // children that run
  detail::group_link asked_;      // children that run and were cancelled
  detail::group_link failed_;     // children that failed, in the order of their ends
  std::size_t count_ = 0;  // children that run, and threads that work on the group without its lock
  detail::task_record* parent_ = nullptr;
  std::uint32_t requests_at_entry_ = 0;
  bool entered_ = false;
  bool cancel_at_entry_ = false;
  bool aborting_ = false;      // all children are being cancelled, and no child is admitted
  bool abort_queued_ = false;  // a callback of the loop will set aborting_
  bool own_request_ = false;   // this group has cancelled the parent
  bool leaving_ = false;       // the body has ended
  bool interrupted_ = false;   // the parent was cancelled while it waited for the children
};

namespace detail {

/// The steps of the block of with_task_group, in order. All are called by the parent.
struct group_access {
  static void enter(task_group& g, task_record& parent);
  static void body_ended(task_group& g, bool failed) noexcept;
  /// The parent was cancelled while it waited for the children.
  static void interrupted(task_group& g) noexcept;
  /// All children have ended. Throws the error of the block, if there is one.
  static void exit(task_group& g, std::exception_ptr of_body);
  /// True: no child is left.
  [[nodiscard]] static bool empty(task_group& g) noexcept;
  [[nodiscard]] static bool wait_in(task_group& g, waiter& w, task_record& t) noexcept;
  static wait_queue& queue(task_group& g) noexcept { return g.all_ended_; }
};

/// Enters the group with the record of the task that runs the block. A strand takes a record of its
/// own for that.
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

/// Waits for the last child. Yields false if a cancellation came first.
class exit_group final : private queue_waiter {
 public:
  explicit exit_group(task_group& g) noexcept : queue_waiter(group_access::queue(g)), group_(&g) {}
  bool await_ready() noexcept { return group_access::empty(*group_); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    return group_access::wait_in(*group_, *this, h.promise().suspending(h, where));
  }
  bool await_resume() noexcept { return !cancelled_at_resume(*this); }

 private:
  template <class>
  friend struct layout_of;
  const char* name() const noexcept override { return "task_group"; }
  task_group* group_;
};

/// A group of the block's own. It is a parameter of the block's coroutine, so it lives as long as
/// the frame, and not only until the end of the block.
class own_group {
 public:
  own_group() noexcept = default;
  own_group(own_group&&) noexcept {}  // moved into the frame, before any code refers to it
  task_group& get() noexcept { return group_; }

 private:
  task_group group_;
};
/// A group of the user's.
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
  group_access::exit(group, std::move(error));
  if constexpr (yields) {
    if (!yielded) throw_no_value_of_body();
    co_return std::move(*yielded);
  }
}

}  // namespace detail

/// Runs `body`, which starts children in its group, and awaits them all. When the await ends, all
/// that was started in the block has ended.
///
/// `body` is a callable that returns a task, or a plain one. It is kept until the end of the block,
/// and runs in the caller's task. Its local variables die before the children end:
///
///   int total = 0;
///   co_await h::with_task_group([&](h::task_group& g) -> h::task<> {
///     int here = 0;
///     g.create_task(count, std::ref(total));   // safe: total outlives the block
///     g.create_task(count, std::ref(here));    // unsafe: here dies with the body
///     co_return;
///   });
///
/// Yields    what `body` yields. If `cancel()` cut the body short and there should be a value,
///           cancelled_error is thrown.
/// Throws    exception_group if a child or the body failed, with the errors in the order of the
///           failures; a fatal_error by itself, the first one
/// Cancel    of the task cancels the children and awaits them. Then cancelled_error is thrown. If a
///           child or the body failed, the exception_group is thrown instead, and the cancellation
///           is delivered at the next wait.
template <class F>
  requires std::invocable<F&, task_group&>
[[nodiscard]] auto with_task_group(F body) {
  return detail::run_group(detail::own_group(), std::move(body));
}
/// The same for a group of the caller's, to which other code may refer already. Throws usage_error
/// if the group was entered before.
template <class F>
  requires std::invocable<F&, task_group&>
[[nodiscard]] auto with_task_group(task_group& group, F body) {
  return detail::run_group(detail::given_group(group), std::move(body));
}

}  // namespace heddle
