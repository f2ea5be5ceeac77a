// SPDX-License-Identifier: MIT
// fork_join: parallel recursion, depth first. Protocol FORK is described in fork_state.h.
#pragma once

#include <heddle/sched/fork_state.h>

#include <new>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace heddle {
namespace detail {

/// Looks further than a plain load: takes a cancellation that is due, or that of a join that failed. Throws cancelled_error.
HEDDLE_COLD void check_fork(promise_base& p);
/// Wakes a loop to steal, if one sleeps and none searches.
HEDDLE_COLD void wake_thief() noexcept;
/// What a join throws: the first error in the order of the children, an ordinary one before a cancellation.
class join_errors {
 public:
  void see(const std::exception_ptr& e) noexcept;
  [[noreturn]] void raise(promise_base& parent);

 private:
  std::exception_ptr first_;
  std::exception_ptr first_cancelled_;
};

/// The part that does not depend on how many children there are and what they yield.
class fork_join_base {
 protected:
  fork_join_base() noexcept {}
  ~fork_join_base() {}
  fork_join_base(const fork_join_base&) = delete;

  HEDDLE_INLINE void begin(promise_base& parent, std::int32_t children) {
    const auto flags = parent.enclosing().state().peek();
    if (flags & (word::must | word::troubled)) [[unlikely]]
      check_fork(parent);
    ::new (static_cast<void*>(&join_)) join_block(children, parent);
  }
  HEDDLE_INLINE void adopt(promise_base& child, promise_base& parent) noexcept {
    child.record = parent.record | promise_base::strand_tag;
    child.end = &join_;
  }
  /// The children but the first are in the deque. What runs next: the first, or, when the turn is over, the loop.
  HEDDLE_INLINE std::coroutine_handle<> go(fork_state& f, promise_base& first) noexcept {
    if (f.hungry->load(relaxed) != 0) [[unlikely]]
      wake_thief();
    if (--f.budget != 0) [[likely]]
      return first.handle();
    return end_turn(f, first);
  }
  std::coroutine_handle<> end_turn(fork_state& f, promise_base& first) noexcept;

  union {
    join_block join_;
  };
};

template <class T>
using strand_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class... Ts>
class [[nodiscard]] fork_join_awaiter : fork_join_base {
  static constexpr bool all_void = (std::is_void_v<Ts> && ...);

 public:
  explicit fork_join_awaiter(task<Ts>&&... children) : children_(std::move(children)...) {}

  static bool await_ready() noexcept { return sizeof...(Ts) == 0; }
  template <heddle_promise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) {
    promise_base& p = h.promise();
    parent_ = &p;
    begin(p, static_cast<std::int32_t>(sizeof...(Ts)));
    fork_state& f = *this_fork_state();
    adopt_all(p, std::index_sequence_for<Ts...>());
    push_from<sizeof...(Ts) - 1>(f);
    return go(f, std::get<0>(children_).frame().promise());
  }
  auto await_resume() {
    if constexpr (sizeof...(Ts) > 0) {
      if (join_.failed.load(relaxed)) [[unlikely]]
        raise();
    }
    if constexpr (!all_void) return values(std::index_sequence_for<Ts...>());
  }

 private:
  // Index sequences and not std::apply, which costs the user's compiler ten times as much.
  template <std::size_t... I>
  void adopt_all(promise_base& p, std::index_sequence<I...>) {
    (adopt(std::get<I>(children_).frame().promise(), p), ...);
  }
  template <std::size_t... I>
  std::tuple<strand_value<Ts>...> values(std::index_sequence<I...>) {
    return {value_of(std::get<I>(children_))...};  // in order
  }
  template <std::size_t... I>
  void see_all(join_errors& errors, std::index_sequence<I...>) noexcept {
    (see(errors, std::get<I>(children_).frame().promise()), ...);
  }
  // From the last to the second: the owner pops the second first, a thief takes the last.
  template <std::size_t I>
  HEDDLE_INLINE void push_from(fork_state& f) {
    if constexpr (I > 0) {
      f.strands.push(&std::get<I>(children_).frame().promise());
      push_from<I - 1>(f);
    }
  }
  template <class T>
  static strand_value<T> value_of(task<T>& child) {
    if constexpr (std::is_void_v<T>)
      return {};
    else
      return child.frame().promise().result.take();
  }
  [[noreturn]] HEDDLE_COLD void raise() {
    join_errors errors;
    see_all(errors, std::index_sequence_for<Ts...>());
    errors.raise(*parent_);
  }
  template <class P>
  static void see(join_errors& errors, P& p) noexcept {
    if (p.result.how() == outcome::error) errors.see(p.result.error());
  }

  std::tuple<task<Ts>...> children_;
  promise_base* parent_ = nullptr;
};

template <class T>
class [[nodiscard]] fork_join_range : fork_join_base {
 public:
  explicit fork_join_range(std::vector<task<T>>&& children) noexcept
      : children_(std::move(children)) {}

  bool await_ready() const noexcept { return children_.empty(); }
  template <heddle_promise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) {
    promise_base& p = h.promise();
    parent_ = &p;
    begin(p, static_cast<std::int32_t>(children_.size()));
    fork_state& f = *this_fork_state();
    for (auto& child : children_) adopt(child.frame().promise(), p);
    for (std::size_t i = children_.size(); i-- > 1;)
      f.strands.push(&children_[i].frame().promise());
    return go(f, children_.front().frame().promise());
  }
  auto await_resume() {
    if (!children_.empty() && join_.failed.load(relaxed)) [[unlikely]]
      raise();
    if constexpr (!std::is_void_v<T>) {
      std::vector<T> results;
      results.reserve(children_.size());
      for (auto& child : children_) results.push_back(child.frame().promise().result.take());
      return results;
    }
  }

 private:
  [[noreturn]] HEDDLE_COLD void raise() {
    join_errors errors;
    for (auto& child : children_) {
      auto& result = child.frame().promise().result;
      if (result.how() == outcome::error) errors.see(result.error());
    }
    errors.raise(*parent_);
  }

  std::vector<task<T>> children_;
  promise_base* parent_ = nullptr;
};

template <class T>
void check_fork_child(const task<T>& t) {
  if (!t.valid())
    detail::throw_usage("fork_join of an empty task: it was moved from, awaited, or never made");
  if (t.frame().promise().continuation) [[unlikely]]
    detail::throw_usage("fork_join of a task that was awaited before: a task runs once");
}

}  // namespace detail

/// Runs the children in parallel and waits for all: `auto [a, b] = co_await fork_join(fib(n - 1), fib(n - 2));`
///
/// They are strands of the calling task, not tasks: `current_task()` is the enclosing one. The first runs at once, the others wait to be
/// stolen by idle loops; what is not stolen runs here, depth first.
/// Yields    a tuple of the results (std::monostate for void); nothing if all are void.
/// Cost      per child one frame and one locked operation at most; no allocation; a join nothing was stolen from does no atomic
///           read-modify-write.
/// Throws    the first failure in argument order, after all have ended. A failure skips siblings that have not started and cancels those
///           that wait.
/// Cancel    of the task: seen at the next fork (a plain load) and by every strand that waits.
/// The parent resumes on the loop that ends the last child; a pinned one at home.
template <class... Ts>
[[nodiscard]] detail::fork_join_awaiter<Ts...> fork_join(task<Ts>... children) {
  (detail::check_fork_child(children), ...);
  return detail::fork_join_awaiter<Ts...>(std::move(children)...);
}
/// The same for any number of children of one type: yields a vector (nothing for void).
template <class T>
[[nodiscard]] detail::fork_join_range<T> fork_join(std::vector<task<T>> children) {
  for (auto& child : children) detail::check_fork_child(child);
  return detail::fork_join_range<T>(std::move(children));
}

}  // namespace heddle
