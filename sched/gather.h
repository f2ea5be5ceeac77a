// SPDX-License-Identifier: MIT
// gather: starts several tasks and waits for all of them, in asyncio's order. gather_settled: the
// same, and each child's error is part of the result.
//
//   auto [a, b] = co_await h::gather(fetch("a"), fetch("b"));
#pragma once

#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>

#include <exception>
#include <optional>
#include <source_location>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace heddle {

/// How one child of gather_settled ended: with a value, with an error, or cancelled.
template <class T>
class settled {
 public:
  using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  settled(value_type value) : value_(std::move(value)) {}
  settled(std::exception_ptr error) : error_(std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  /// The value. Throws the error if there is none.
  value_type& value() & {
    if (error_) std::rethrow_exception(error_);
    return *value_;
  }
  const value_type& value() const& {
    if (error_) std::rethrow_exception(error_);
    return *value_;
  }
  /// The error, a cancelled_error included; null for a value.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }
  [[nodiscard]] bool cancelled() const noexcept { return is_cancellation(error_); }

 private:
  std::optional<value_type> value_;
  std::exception_ptr error_;
};

namespace detail {

/// The join block of a gather. References are counted, since its children outlive a gather that
/// fails early: each child's node holds one until it fires, the gathering object another.
///
/// Its word is in the forwarding state all its life. So a cancellation goes to the children, and
/// the gather ends when its children make it end.
//
// Who may touch what
//   nodes_     the maker until seal(); then each node by the child that ends, under its joiner lock
//   pending_   any thread, atomically: the children that have not ended, and one until seal()
//   ends_as_   any thread, by compare-exchange, once: that thread ends the gather
class gather_state final : public eventual, public frame_cached {
 public:
  enum class mode : bool { first_error, settle_all };

  gather_state(mode m, std::size_t children, std::uint16_t runtime);
  ~gather_state() { delete[] nodes_; }

  /// Adds child `index` and takes a reference to it. In order, each index once. Throws bad_value
  /// for a child of another runtime.
  void add(std::size_t index, eventual& child);
  /// After all were added. If no child is left, the gather ends here.
  void seal();
  /// In mode first_error, after the end: the index of the child that failed first, or `none`.
  [[nodiscard]] std::size_t failed_child() const noexcept {
    // pairs with child_ended()
    return failed_.load(acquire);
  }
  static constexpr std::size_t none = ~std::size_t{0};
  [[nodiscard]] eventual& child(std::size_t index) noexcept { return *nodes_[index].child; }

 private:
  template <class>
  friend struct layout_of;
  struct node : join_node {
    node() noexcept : join_node(&fired) {}
    gather_state* owner = nullptr;
    eventual* child = nullptr;
    std::size_t index = 0;
  };
  static void fired(join_node& n, eventual& target, work_list& todo) noexcept;
  void child_ended(node& n, eventual& target, work_list& todo) noexcept;
  void end(outcome how, work_list& todo) noexcept;
  static void drop(eventual& self) noexcept;
  static bool forward(eventual& self, work_list& todo) noexcept;
  static void finish(eventual& self, work_list& todo) noexcept;
  static constexpr eventual_ops ops{&drop, &forward, &finish};

  const mode mode_;
  const std::size_t count_;
  node* const nodes_;
  atomic<std::size_t> pending_;
  atomic<std::size_t> failed_{none};
  atomic<outcome> ends_as_{outcome::none};
  atomic<bool> asked_{false};  // a child took a cancellation that came through this gather
};

/// A counted pointer to a gather_state.
class gather_ref {
 public:
  explicit gather_ref(gather_state* s) noexcept : state_(s) {}
  gather_ref(gather_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  gather_ref& operator=(gather_ref&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~gather_ref() {
    if (state_) state_->unref();
  }
  gather_state* operator->() const noexcept { return state_; }
  gather_state& operator*() const noexcept { return *state_; }

 private:
  gather_state* state_;
};

std::uint16_t runtime_number_here();
[[noreturn]] void throw_gather_cancelled();

/// Refuses a second await of a gathering that moves its results out.
class gather_once {
 public:
  void check() {
    if (std::exchange(awaited_, true)) [[unlikely]]
      refuse();
  }

 private:
  [[noreturn]] HEDDLE_COLD static void refuse();

  bool awaited_ = false;
};

// What a gather takes. It starts tasks and owns their results, which are moved out. Handles and
// futures are shared, so their results are copied.
template <class T>
struct gather_child;
template <class T>
struct gather_child<task<T>> {
  using value = T;
  static constexpr bool owned = true;
  static task_handle<T> start(task<T>&& t, std::source_location made) {
    return create_task(std::move(t), made);
  }
  static eventual& target(task_handle<T>& h) noexcept { return *h.record(); }
};
template <class T>
struct gather_child<task_handle<T>> {
  using value = T;
  static constexpr bool owned = false;
  static task_handle<T> start(task_handle<T> h, std::source_location) {
    if (!h.valid()) detail::throw_usage("gather of an empty task handle");
    return h;
  }
  static eventual& target(task_handle<T>& h) noexcept { return *h.record(); }
};
template <class T>
struct gather_child<future<T>> {
  using value = T;
  static constexpr bool owned = false;
  static future<T> start(future<T> f, std::source_location) { return f; }
  static eventual& target(future<T>& f) noexcept { return f.state(); }
};

/// Only the gather can ask for the result, so the result is moved out.
template <class A>
inline constexpr bool is_moved_out =
    gather_child<A>::owned && !std::is_void_v<typename gather_child<A>::value>;

template <class A>
concept gatherable = requires { typename gather_child<std::remove_cvref_t<A>>::value; };

template <class A>
using started_child = decltype(gather_child<A>::start(std::declval<A&&>(), std::source_location()));

template <class A, class Started>
auto child_value(Started& s) {
  using value = typename gather_child<A>::value;
  if constexpr (std::is_void_v<value>) {
    s.result();
    return std::monostate{};
  } else if constexpr (gather_child<A>::owned) {
    return value(std::move(s.result()));
  } else {
    return value(s.result());
  }
}
template <class A, class Started>
auto child_settled(Started& s) {
  using value = typename gather_child<A>::value;
  try {
    return settled<value>(child_value<A>(s));
  } catch (...) { return settled<value>(std::current_exception()); }
}

/// The await of a gathering, without its result type.
class gather_wait : public join_wait {
 public:
  explicit gather_wait(gather_state& s) noexcept : join_wait(s), state_(&s) {}
  const char* name() const noexcept override { return "gather"; }
  bool await_ready() const noexcept { return ready(); }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }

 protected:
  template <class>
  friend struct layout_of;
  /// Throws the cancellation of the awaiting task, or that of the gathering.
  void check() {
    check_cancel();
    if (state_->how_ended() != outcome::cancelled) return;
    if (task_record* t = cancelled_through()) throw_cancelled(*t);
    throw_gather_cancelled();
  }
  gather_state* state_;
};

}  // namespace detail

/// What gather returns. Its children run already. It is awaited once, and may be cancelled.
/// Dropping it detaches the children.
template <bool Settled, class... As>
class [[nodiscard]] gathering {
  static constexpr bool all_void =
      (std::is_void_v<typename detail::gather_child<As>::value> && ...);
  using started = std::tuple<detail::started_child<As>...>;

  class awaiter : public detail::gather_wait {
   public:
    awaiter(detail::gather_state& s, started& c) noexcept : gather_wait(s), children_(&c) {}
    auto await_resume() {
      check();
      if constexpr (Settled) {
        return read_settled(std::index_sequence_for<As...>());
      } else {
        raise_if_failed(std::index_sequence_for<As...>());
        if constexpr (!all_void) return read(std::index_sequence_for<As...>());
      }
    }

   private:
    template <std::size_t... I>
    auto read(std::index_sequence<I...>) {
      return std::tuple{detail::child_value<As>(std::get<I>(*children_))...};
    }
    template <std::size_t... I>
    auto read_settled(std::index_sequence<I...>) {
      return std::tuple{detail::child_settled<As>(std::get<I>(*children_))...};
    }
    template <std::size_t... I>
    void raise_if_failed(std::index_sequence<I...>) {
      const auto failed = state_->failed_child();
      if (failed == detail::gather_state::none) return;
      ((I == failed ? (void)std::get<I>(*children_).result() : (void)0), ...);
    }
    started* children_;
  };

 public:
  explicit gathering(std::source_location made, As&&... as)
      : children_{detail::gather_child<As>::start(
            std::move(as), made)...},  // in this order: braces, not parentheses
        state_(new detail::gather_state(Settled ? detail::gather_state::mode::settle_all
                                                : detail::gather_state::mode::first_error,
                                        sizeof...(As), detail::runtime_number_here())) {
    add(std::index_sequence_for<As...>());
    state_->seal();
  }

  /// Cancels every child that has not ended. False if the gathering is done.
  bool cancel() { return detail::cancel_now(*state_); }
  [[nodiscard]] bool done() const noexcept { return state_->done(); }
  /// It was cancelled before all children had ended, and none failed; a child that is cancelled by
  /// others is an error of the gathering.
  [[nodiscard]] bool cancelled() const noexcept {
    return state_->how_ended() == detail::outcome::cancelled;
  }

  /// Throws usage_error the second time, if results were moved out by the first.
  auto operator co_await() {
    if constexpr ((detail::is_moved_out<As> || ...)) once_.check();
    return awaiter(*state_, children_);
  }

  /// For the library.
  [[nodiscard]] detail::eventual& target() noexcept { return *state_; }

 private:
  template <std::size_t... I>
  void add(std::index_sequence<I...>) {
    (state_->add(I, detail::gather_child<As>::target(std::get<I>(children_))), ...);
  }
  started children_;
  detail::gather_ref state_;
  detail::gather_once once_;
};

/// The same for a range: yields a vector.
template <bool Settled, class A>
class [[nodiscard]] gathering_range {
  using child = detail::started_child<A>;
  using value = typename detail::gather_child<A>::value;

  class awaiter : public detail::gather_wait {
   public:
    awaiter(detail::gather_state& s, std::vector<child>& c) noexcept
        : gather_wait(s), children_(&c) {}
    auto await_resume() {
      check();
      if constexpr (Settled) {
        std::vector<settled<value>> all;
        all.reserve(children_->size());
        for (auto& c : *children_) all.push_back(detail::child_settled<A>(c));
        return all;
      } else {
        const auto failed = state_->failed_child();
        if (failed != detail::gather_state::none) (void)(*children_)[failed].result();
        if constexpr (!std::is_void_v<value>) {
          std::vector<value> all;
          all.reserve(children_->size());
          for (auto& c : *children_) all.push_back(detail::child_value<A>(c));
          return all;
        }
      }
    }

   private:
    std::vector<child>* children_;
  };

 public:
  gathering_range(std::vector<A>&& as, std::source_location made)
      : state_(new detail::gather_state(Settled ? detail::gather_state::mode::settle_all
                                                : detail::gather_state::mode::first_error,
                                        as.size(), detail::runtime_number_here())) {
    children_.reserve(as.size());
    for (auto& a : as) children_.push_back(detail::gather_child<A>::start(std::move(a), made));
    for (std::size_t i = 0; i < children_.size(); ++i)
      state_->add(i, detail::gather_child<A>::target(children_[i]));
    state_->seal();
  }
  bool cancel() { return detail::cancel_now(*state_); }
  [[nodiscard]] bool done() const noexcept { return state_->done(); }
  [[nodiscard]] bool cancelled() const noexcept {
    return state_->how_ended() == detail::outcome::cancelled;
  }
  auto operator co_await() {
    if constexpr (detail::is_moved_out<A>) once_.check();
    return awaiter(*state_, children_);
  }

  /// For the library.
  [[nodiscard]] detail::eventual& target() noexcept { return *state_; }

 private:
  std::vector<child> children_;
  detail::gather_ref state_;
  detail::gather_once once_;
};

/// Starts the given tasks, each as a task of its own, and waits for all.
///
/// Takes tasks, handles and futures, mixed. The children run from this call on; on one loop in this
/// order.
/// Yields    a tuple in argument order (std::monostate for void); nothing if all are void. Results
///           of tasks are moved, those of handles and futures copied.
/// Throws    the first error of any child, at once. The others run on, and their errors are
///           dropped. A cancelled child counts as an error.
/// Cancel    of the awaiting task, or `cancel()`, goes to every child. If then a child fails, its
///           error is thrown. If all end with values, cancelled_error is thrown.
/// Cost      for each child a task; one block for the join
//
// There are overloads for up to three children. They let a task record the place of the gather that
// created it: no default argument can follow a parameter pack.
template <detail::gatherable A>
[[nodiscard]] auto gather(A a, std::source_location made = std::source_location::current()) {
  return gathering<false, A>(made, std::move(a));
}
template <detail::gatherable A, detail::gatherable B>
[[nodiscard]] auto gather(A a, B b, std::source_location made = std::source_location::current()) {
  return gathering<false, A, B>(made, std::move(a), std::move(b));
}
template <detail::gatherable A, detail::gatherable B, detail::gatherable C>
[[nodiscard]] auto gather(A a, B b, C c,
                          std::source_location made = std::source_location::current()) {
  return gathering<false, A, B, C>(made, std::move(a), std::move(b), std::move(c));
}
template <detail::gatherable... As>
  requires(sizeof...(As) == 0 || sizeof...(As) > 3)
[[nodiscard]] auto gather(As... as) {
  return gathering<false, As...>(std::source_location(), std::move(as)...);
}
/// The same for any number of children of one type: yields a vector (nothing for void).
template <detail::gatherable A>
[[nodiscard]] auto gather(std::vector<A> as,
                          std::source_location made = std::source_location::current()) {
  return gathering_range<false, A>(std::move(as), made);
}
/// asyncio's return_exceptions: waits for every child, and yields for each how it ended. If it is
/// cancelled it still waits for all children, and then throws cancelled_error.
template <detail::gatherable A>
[[nodiscard]] auto gather_settled(A a,
                                  std::source_location made = std::source_location::current()) {
  return gathering<true, A>(made, std::move(a));
}
template <detail::gatherable A, detail::gatherable B>
[[nodiscard]] auto gather_settled(A a, B b,
                                  std::source_location made = std::source_location::current()) {
  return gathering<true, A, B>(made, std::move(a), std::move(b));
}
template <detail::gatherable A, detail::gatherable B, detail::gatherable C>
[[nodiscard]] auto gather_settled(A a, B b, C c,
                                  std::source_location made = std::source_location::current()) {
  return gathering<true, A, B, C>(made, std::move(a), std::move(b), std::move(c));
}
template <detail::gatherable... As>
  requires(sizeof...(As) == 0 || sizeof...(As) > 3)
[[nodiscard]] auto gather_settled(As... as) {
  return gathering<true, As...>(std::source_location(), std::move(as)...);
}
template <detail::gatherable A>
[[nodiscard]] auto gather_settled(std::vector<A> as,
                                  std::source_location made = std::source_location::current()) {
  return gathering_range<true, A>(std::move(as), made);
}

}  // namespace heddle
