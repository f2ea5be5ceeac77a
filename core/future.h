// SPDX-License-Identifier: MIT
// A promise<T> sets a result once; its future<T> is awaited by any number of tasks, on any loop,
// and by threads.
//
//   h::promise<int> p;
//   auto f = p.get_future();
//   p.set_value(1);        // from any task or thread
//   EXPECT_EQ(f.get(), 1); // in a foreign thread; a task says co_await f
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/core/errors.h>
#include <heddle/core/future/future_awaiter.h>
#include <heddle/core/future/future_state.h>

#include <concepts>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>

namespace heddle {

template <class T = void>
class future;
template <class T = void>
class promise;

namespace detail {

/// F as a done-callback: it is called with the future, or with nothing.
template <class T, class F>
class bound_done_callback final : public done_callback {
 public:
  template <class G>
  explicit bound_done_callback(G&& f) : function_(std::forward<G>(f)) {}

  static const void* type() noexcept {
    static constexpr char here = 0;
    return &here;
  }
  void attach(future_base& ended) noexcept override {
    ended_ = future_ref<T>::to(static_cast<future_state<T>&>(ended));
  }
  bool is([[maybe_unused]] const void* t, [[maybe_unused]] const void* f) const override {
    if constexpr (std::equality_comparable<F>)
      return t == type() && *static_cast<const F*>(f) == function_;
    else
      return false;
  }
  void run() override {
    if constexpr (std::invocable<F&, future<T>>)
      detail::invoke(function_, future<T>(std::move(ended_)));
    else
      detail::invoke(function_);
  }

 private:
  F function_;
  future_ref<T> ended_;
};

}  // namespace detail

/// The end of something, to be awaited. Copyable: all copies share one result, and any number of
/// tasks may await it, on any loop.
///
/// Cost      a ready await: a load. A waiting one: two locked operations, and two for its
///           reference; nothing is allocated
/// Ordering  what was written before the set is seen by every task and thread that awaited it
/// Cancel    a cancelled `co_await f` cancels the future for all that await it, as in asyncio
///           (await a shield of it if the others shall go on)
/// Throws    what was set; cancelled_error; usage_error when the future is empty or of another
///           runtime
/// Thread-safety: the handle is like a shared_ptr, for one thread at a time. What it refers to may
/// be used from any thread. Several tasks that read one result share an object: they must not
/// change it without a lock.
template <class T>
class [[nodiscard]] future {
 public:
  using value_type = T;
  using reference = typename detail::future_traits<T>::reference;

  future() noexcept = default;

  /// False: default-constructed or moved from.
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }
  [[nodiscard]] bool done() const { return state().done(); }
  [[nodiscard]] bool cancelled() const { return state().how_ended() == detail::outcome::cancelled; }

  /// Ends the future as cancelled, at once. All that await it get a cancelled_error with `message`.
  /// False: it was done already.
  bool cancel(std::string message = {}) const { return state().cancel(std::move(message)); }

  /// The result. Throws the error that was set; cancelled_error; invalid_state_error if the future
  /// is not done yet.
  reference result() const {
    auto& s = state();
    s.check_result();
    return s.value();
  }
  /// The error, or null if there is a value. Throws cancelled_error, or invalid_state_error if the
  /// future is not done yet.
  [[nodiscard]] std::exception_ptr exception() const {
    auto& s = state();
    s.check_result();
    return s.error();
  }

  /// Calls `f(future)` (or `f()`) once the future is done. The call is never inside this one or
  /// inside the set, but on the loop that added `f`, in the order of adding. If a foreign thread
  /// added it: on a loop of the future's runtime, or if the future has none, in the thread that
  /// ends it. Throws std::bad_alloc.
  template <class F>
    requires std::invocable<std::decay_t<F>&, future> || std::invocable<std::decay_t<F>&>
  callback_id add_done_callback(F&& f) const {
    auto& s = state();
    return s.add(detail::owned<detail::done_callback>(
        new detail::bound_done_callback<T, std::decay_t<F>>(std::forward<F>(f))));
  }
  /// Removes the callback that `id` names, unless it is on its way already. Returns how many were
  /// removed.
  std::size_t remove_done_callback(callback_id id) const { return state().remove(id); }
  /// Removes every callback that compares equal to `f`. Returns how many were removed. Throws what
  /// the comparison throws; those that were found equal before are removed.
  template <class F>
    requires std::equality_comparable<std::decay_t<F>> &&
             (!std::same_as<std::decay_t<F>, callback_id>)
  std::size_t remove_done_callback(const F& f) const {
    const std::decay_t<F> value = f;
    return state().remove(detail::bound_done_callback<T, std::decay_t<F>>::type(), &value);
  }

  /// Blocks a foreign thread until the future is done. Throws usage_error in a loop's thread, which
  /// must not block: `co_await` it there.
  void wait() const { (void)state().wait_until(time_point::max()); }
  /// The same, at most for `d`. True: the future is done. Throws bad_value for a NaN.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> d) const {
    return state().wait_until(saturating_add(clock::now(), to_duration(d)));
  }
  /// wait(), then result().
  reference get() const& {
    wait();
    return result();
  }
  /// wait(), then the result moved out.
  T get() && {
    const future kept = std::move(*this);
    kept.wait();
    if constexpr (std::is_void_v<T> || std::is_reference_v<T>)
      return kept.result();
    else
      return std::move(kept.result());
  }

  /// Yields a reference to the result, which lives as long as any handle does.
  auto operator co_await() const& {
    (void)state();
    return detail::future_awaiter<T, false>(*state_.get());
  }
  /// Yields the result, moved out: for a task that is the only one to want it.
  auto operator co_await() && {
    (void)state();
    return detail::future_awaiter<T, true>(std::move(state_));
  }

  friend bool operator==(const future& a, const future& b) noexcept {
    return a.state_.get() == b.state_.get();
  }

  /// For the library.
  explicit future(detail::future_ref<T> state) noexcept : state_(std::move(state)) {}
  [[nodiscard]] detail::future_state<T>& state() const {
    if (!state_) detail::throw_usage("use of an empty future: it was moved from, or never made");
    return *state_.get();
  }

 private:
  detail::future_ref<T> state_;
};

/// A future of any type, seen from outside: for reports. Copyable, counted, perhaps empty.
class any_future {
 public:
  any_future() noexcept = default;
  /// Takes over one reference.
  explicit any_future(detail::eventual* f) noexcept : state_(f) {}
  template <class T>
  any_future(const future<T>& f) noexcept : state_(f.valid() ? &f.state() : nullptr) {
    if (state_) state_->ref();
  }
  any_future(const any_future& other) noexcept : state_(other.state_) {
    if (state_) state_->ref();
  }
  any_future(any_future&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  any_future& operator=(any_future other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~any_future() {
    if (state_) state_->unref();
  }
  [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }
  [[nodiscard]] bool done() const noexcept { return state_ && state_->done(); }
  [[nodiscard]] bool cancelled() const noexcept {
    return state_ && state_->how_ended() == detail::outcome::cancelled;
  }
  friend bool operator==(const any_future&, const any_future&) = default;

 private:
  detail::eventual* state_ = nullptr;
};

/// The side that sets. Move-only. If it is destroyed before it was set, its future throws
/// broken_promise.
///
/// Cost      one block from the thread's cache. A set: five locked operations, and one for each
///           task that waits, which is then scheduled
/// Ordering  set_value() synchronizes-with all that see the future done
/// Cancel    nothing here waits. A future that was cancelled is done: set_*() throws, try_set_*()
///           returns false
/// Throws    set_*(): invalid_state_error if it was set or cancelled before. Of several sets at
///           once exactly one succeeds
/// Thread-safety: may be set from any thread.
template <class T>
class [[nodiscard]] promise {
 public:
  using value_type = T;

  /// The future belongs to the runtime of the caller. If a foreign thread makes it, it belongs to
  /// none, and tasks of every runtime may await it. Throws std::bad_alloc.
  promise() : state_(new detail::future_state<T>) {}
  promise(promise&&) noexcept = default;
  promise& operator=(promise&& other) noexcept {
    if (this != &other) {
      abandon();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~promise() { abandon(); }

  /// A handle to what will be set. May be called any number of times.
  [[nodiscard]] future<T> get_future() const {
    (void)state();
    return future<T>(state_);
  }

  template <class U = T>
    requires(!std::is_void_v<T> && !std::is_reference_v<T> && std::constructible_from<T, U>)
  void set_value(U&& value) {
    state().set(std::forward<U>(value));
  }
  template <class U = T>
    requires std::is_reference_v<T> && std::same_as<U, T>
  void set_value(std::remove_reference_t<U>& value) {
    state().set(std::addressof(value));
  }
  void set_value()
    requires std::is_void_v<T>
  {
    state().set();
  }
  /// The same, where another thread or a cancellation may come first: a look at done() before
  /// set_value() is no help against that. False: it had ended, and nothing happened; `value` may
  /// have been moved from.
  ///
  ///   if (!answer.try_set_value(std::move(line))) log_late(line_number);
  template <class U = T>
    requires(!std::is_void_v<T> && !std::is_reference_v<T> && std::constructible_from<T, U>)
  bool try_set_value(U&& value) {
    return state().try_set(std::forward<U>(value));
  }
  template <class U = T>
    requires std::is_reference_v<T> && std::same_as<U, T>
  bool try_set_value(std::remove_reference_t<U>& value) {
    return state().try_set(std::addressof(value));
  }
  bool try_set_value()
    requires std::is_void_v<T>
  {
    return state().try_set();
  }
  /// asyncio's word for the same.
  template <class... Args>
  void set_result(Args&&... args) {
    set_value(std::forward<Args>(args)...);
  }
  /// Throws bad_value for a null pointer.
  void set_exception(std::exception_ptr error) {
    if (!try_set_exception(std::move(error))) detail::future_base::throw_ended_before();
  }
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  void set_exception(E&& error) {
    set_exception(std::make_exception_ptr(std::forward<E>(error)));
  }
  /// False: it had ended, and nothing happened. Throws bad_value for a null pointer.
  bool try_set_exception(std::exception_ptr error) {
    if (!error) throw bad_value("set_exception of a null exception_ptr");
    return state().fail(std::move(error));
  }
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  bool try_set_exception(E&& error) {
    return try_set_exception(std::make_exception_ptr(std::forward<E>(error)));
  }
  /// Ends the future as cancelled. False: it is done already.
  bool cancel(std::string message = {}) { return state().cancel(std::move(message)); }

  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }
  /// True: it was set, or cancelled by those that wanted it; then there is no need to go on.
  [[nodiscard]] bool done() const { return state().done(); }
  [[nodiscard]] bool cancelled() const { return state().how_ended() == detail::outcome::cancelled; }

  /// For the library.
  [[nodiscard]] detail::future_state<T>& state() const {
    if (!state_) detail::throw_usage("use of an empty promise: it was moved from");
    return *state_.get();
  }

 private:
  void abandon() noexcept {
    auto* s = state_.get();
    if (!s || s->done() || !s->somebody_cares()) return;
    // Those that wait get the error. If none does, it is the trace of a teardown and not worth a
    // report.
    s->mark_retrieved();
    (void)s->fail(detail::promise_dropped());
  }

  detail::future_ref<T> state_;
};

namespace detail {
template <class T>
inline constexpr bool is_future = false;
template <class T>
inline constexpr bool is_future<future<T>> = true;
}  // namespace detail

}  // namespace heddle
