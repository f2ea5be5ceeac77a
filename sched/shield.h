// SPDX-License-Identifier: MIT
// shield: awaiting something without being its canceller.
#pragma once

#include <heddle/core/record/budget.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/gather.h>

#include <concepts>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {

/// The outer side of a shield: ends when the inner does, or is cancelled, which the inner does not
/// learn.
//
// It is a future to whoever cancels or awaits it. Its node in the inner's joiners holds a reference
// until it fires or is taken out: by a cancellation, or by the last handle, so that shields that
// were given up do not pile up on an inner that lives long.
class shield_state final : public eventual, public frame_cached {
 public:
  /// With two references: the node's and the caller's.
  explicit shield_state(eventual& inner);

  /// A handle is dropped.
  void abandon() noexcept;
  [[nodiscard]] eventual& inner() noexcept { return *inner_; }

 private:
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

class shield_wait : public join_wait, protected ready_await {
 public:
  const char* name() const noexcept override { return "shield"; }
  bool await_ready() noexcept { return ready() && go_on(); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    if (stands_back()) return stand_back(h, [this](task_record& t) { ended_meanwhile(t); });
    return begin(h.promise().suspending(h));
  }

 protected:
  explicit shield_wait(const shield_ref& s) noexcept : join_wait(*s.get()), state_(s) {}
  ~shield_wait() = default;
  /// Throws the caller's cancellation, or that of the outer side.
  void check();

 private:
  bool begin(task_record& t);
  shield_ref state_;  // the handle may be assigned to while we wait
};

/// What a gather, a wait or a shield refers to.
template <class Inner>
eventual& inner_target(Inner& inner) {
  if constexpr (requires { inner.target(); })
    return inner.target();
  else if constexpr (requires { inner.record(); })
    return *inner.record();
  else
    return inner.state();
}

/// A task that shield itself has started: nobody else has its handle.
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

/// What `shield` returns: awaited like a future, it yields what `Inner` does; cancelled, it leaves
/// `Inner` alone. Copyable if `Inner` is.
///
/// Cost      one block from the thread's cache, one entry in the inner's list
/// Cancel    of the awaiting task, or `cancel()`, ends the outer side alone, at once, for all who
///           await it
/// Throws    what the inner ended with; cancelled_error. An error of the inner that nobody gets is
///           reported, once.
template <class Inner>
class [[nodiscard]] shielded {
  template <bool Moves>
  class awaiter final : public detail::shield_wait {
   public:
    explicit awaiter(shielded& s) : shield_wait(s.at()), inner_(&s.inner_) {}
    decltype(auto) await_resume() {
      check();
      // The inner is done, and so the await of it yields without waiting.
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
  /// The result of one that is done; what the inner threw, or cancelled_error. invalid_state_error
  /// before that.
  decltype(auto) result() {
    if (!done()) throw invalid_state_error("the shield has not ended: it has no result yet");
    awaiter<false> ended(*this);
    return ended.await_resume();
  }
  /// What is shielded.
  [[nodiscard]] const Inner& inner() const noexcept { return inner_; }

  auto operator co_await() & { return awaiter<false>(*this); }
  /// A result that nobody else can ask for is moved out: that of a task which `shield` has started.
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

/// Awaits `inner`, a handle, a future or a gathering, so that cancelling the awaiting task does not
/// cancel it:
///
///   auto commit = h::create_task(write_it_down());
///   co_await h::shield(commit);     // a cancellation is thrown here, and write_it_down() goes on
///
/// Yields what `inner` yields. A task that is already done is yielded at once.
template <detail::shieldable A>
[[nodiscard]] shielded<A> shield(A inner) {
  if constexpr (detail::is_task_handle<A>)
    if (!inner.valid()) detail::throw_usage("shield of an empty task handle");
  return shielded<A>(std::move(inner));
}
/// The same for a task, which is started; it runs to its end even if nobody holds it.
template <class T>
[[nodiscard]] shielded<detail::own_task<T>> shield(
    task<T> inner, std::source_location made = std::source_location::current()) {
  return shielded<detail::own_task<T>>(detail::own_task<T>(create_task(std::move(inner), made)));
}

}  // namespace heddle
