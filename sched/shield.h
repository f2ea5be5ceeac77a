// SPDX-License-Identifier: MIT
// shield: awaits a task so that cancelling the awaiting task does not cancel that task.
//
//   auto commit = h::create_task(fetch("commit"));
//   co_await h::shield(commit);     // a cancellation is thrown here, and the commit goes on
#pragma once

#include <heddle/core/record/budget.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/gather.h>

#include <concepts>
#include <source_location>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {

/// The outer side of a shield. It ends when the inner side ends, or when it is cancelled. The inner
/// side does not learn of that cancellation.
//
// To those that cancel or await it, it is a future. Its node among the joiners of the inner side
// holds a reference until the node fires or is taken out. A cancellation takes it out, and so does
// the last handle: otherwise dropped shields would pile up on an inner task that lives long.
class shield_state final : public eventual, public frame_cached {
 public:
  /// Begins with two references: the node's and the caller's.
  explicit shield_state(eventual& inner);

  /// Drops the reference of a handle.
  void abandon() noexcept;
  [[nodiscard]] eventual& inner() noexcept { return *inner_; }

 private:
  template <class>
  friend struct layout_of;
  struct node : join_node {
    explicit node(shield_state& s) noexcept : join_node(&fired), owner(&s) {}
    shield_state* owner;
  };
  static void fired(join_node& n, eventual& target, work_list& todo) noexcept;
  static void drop(eventual& self) noexcept;
  static void finish(eventual& self, work_list& todo) noexcept;
  static constexpr eventual_ops ops{&drop, nullptr, &finish};
  void take_out() noexcept;

  eventual* inner_;  // counted
  node node_{*this};
};

/// A counted handle of a shield_state.
class shield_ref {
 public:
  explicit shield_ref(shield_state* s) noexcept : state_(s) {}
  shield_ref(const shield_ref& other) noexcept : state_(other.state_) {
    if (state_) state_->ref();
  }
  shield_ref(shield_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  shield_ref& operator=(shield_ref other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~shield_ref() {
    if (state_) state_->abandon();
  }
  [[nodiscard]] shield_state* get() const noexcept { return state_; }
  shield_state* operator->() const noexcept { return state_; }

 private:
  shield_state* state_;
};

/// The await of a shield, without its result type.
class shield_wait : public join_wait, protected ready_await {
 public:
  const char* name() const noexcept override { return "shield"; }
  bool await_ready() noexcept { return ready() && go_on(); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if (stands_back()) return stand_back(h, where, [this](task_record& t) { ended_meanwhile(t); });
    return begin(h.promise().suspending(h, where));
  }

 protected:
  explicit shield_wait(const shield_ref& s) noexcept : join_wait(*s.get()), state_(s) {}
  ~shield_wait() = default;
  /// Throws the cancellation of the awaiting task, or that of the outer side.
  void check();

 private:
  template <class>
  friend struct layout_of;
  bool begin(task_record& t);
  shield_ref state_;  // a copy, since the shield may be assigned to during the wait
};

/// What a handle, a future, a gathering or a shield refers to.
template <class Inner>
eventual& inner_target(Inner& inner) {
  if constexpr (requires { inner.target(); })
    return inner.target();
  else if constexpr (requires { inner.record(); })
    return *inner.record();
  else
    return inner.state();
}

/// A task that shield itself has started. No other code has its handle.
template <class T>
class own_task : public task_handle<T> {
 public:
  explicit own_task(task_handle<T> t) noexcept : task_handle<T>(std::move(t)) {}
};
template <class Inner>
inline constexpr bool is_owned_inner = false;
template <class T>
inline constexpr bool is_owned_inner<own_task<T>> = true;

}  // namespace detail

/// What `shield` returns. Awaited, it yields what `Inner` yields. Cancelling it does not cancel
/// `Inner`. Copyable if `Inner` is.
///
/// Cost      one block from the thread's cache, one entry in the joiners of the inner task
/// Cancel    of an awaiting task, or `cancel()`, ends only the outer side, at once, for all tasks
///           that await it
/// Throws    what the inner task ended with; cancelled_error. An error of the inner task that no
///           code gets is reported once.
template <class Inner>
class [[nodiscard]] shielded {
  template <bool Moves>
  class awaiter final : public detail::shield_wait {
   public:
    explicit awaiter(shielded& s) : shield_wait(s.at()), inner_(&s.inner_) {}
    decltype(auto) await_resume() {
      check();
      // The inner task is done, so its await yields without waiting.
      if constexpr (Moves) {
        auto ended = std::move(*inner_).operator co_await();
        return ended.await_resume();
      } else {
        auto ended = inner_->operator co_await();
        return ended.await_resume();
      }
    }

   private:
    Inner* inner_;
  };

 public:
  explicit shielded(Inner inner)
      : inner_(std::move(inner)), state_(new detail::shield_state(detail::inner_target(inner_))) {}

  /// Ends the outer side as cancelled. False: it is done already.
  bool cancel() { return detail::cancel_now(*at().get()); }
  [[nodiscard]] bool done() const { return at()->done(); }
  [[nodiscard]] bool cancelled() const { return at()->how_ended() == detail::outcome::cancelled; }
  /// The result of a shield that is done. Throws what the inner task threw; cancelled_error;
  /// invalid_state_error if it is not done.
  decltype(auto) result() {
    if (!done()) throw invalid_state_error("the shield has not ended: it has no result yet");
    awaiter<false> ended(*this);
    return ended.await_resume();
  }
  /// The shielded handle, future or gathering.
  [[nodiscard]] const Inner& inner() const noexcept { return inner_; }

  auto operator co_await() & { return awaiter<false>(*this); }
  /// Moves the result out if only this shield can ask for it: if `shield` has started the task.
  auto operator co_await() && { return awaiter<detail::is_owned_inner<Inner>>(*this); }

  /// For the library.
  [[nodiscard]] detail::eventual& target() { return *at().get(); }

 private:
  [[nodiscard]] const detail::shield_ref& at() const {
    if (!state_.get()) detail::throw_usage("use of an empty shield: it was moved from");
    return state_;
  }

  Inner inner_;
  detail::shield_ref state_;
};

namespace detail {

template <class Inner>
struct gather_child<shielded<Inner>> {
  using value = std::remove_cvref_t<decltype(std::declval<shielded<Inner>&>().result())>;
  static constexpr bool owned = false;
  static shielded<Inner> start(shielded<Inner> s, std::source_location) { return s; }
  static eventual& target(shielded<Inner>& s) { return s.target(); }
};

template <class A>
concept shieldable = is_task_handle<A> || is_future<A> || requires(A a) {
  { a.target() } -> std::convertible_to<eventual&>;
};

}  // namespace detail

/// Awaits `inner`, a handle, a future or a gathering. Cancelling the awaiting task does not cancel
/// `inner`. Yields what `inner` yields; at once if it is already done.
template <detail::shieldable A>
[[nodiscard]] shielded<A> shield(A inner) {
  if constexpr (detail::is_task_handle<A>)
    if (!inner.valid()) detail::throw_usage("shield of an empty task handle");
  return shielded<A>(std::move(inner));
}
/// The same for a task, which is started. It runs to its end even if the shield is dropped.
template <class T>
[[nodiscard]] shielded<detail::own_task<T>> shield(
    task<T> inner, std::source_location made = std::source_location::current()) {
  return shielded<detail::own_task<T>>(detail::own_task<T>(create_task(std::move(inner), made)));
}

}  // namespace heddle
