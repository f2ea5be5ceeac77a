// SPDX-License-Identifier: MIT
// promise<T> sets; future<T> is awaited by any number of tasks, on any loop, and by threads.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/core/errors.h>
#include <heddle/core/memory/memory.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/task_record.h>
#include <heddle/core/record/wait.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>

namespace heddle {

template <class T = void>
class future;
template <class T = void>
class promise;

/// Names a done-callback, for `remove_done_callback`.
enum class callback_id : std::uint64_t {};

namespace detail {

class future_base;

/// A done-callback until the end; then the callback that is posted.
struct done_callback : callback_base {
  /// Takes what `run` needs: a reference to the future. Called at the end, before it is posted.
  virtual void attach(future_base& ended) noexcept = 0;
  /// Is it `f`, of the type that `type` stands for? Calls the user's operator==: no lock may be
  /// held. Throws what that throws.
  virtual bool is(const void* type, const void* f) const = 0;

  callback_id id{};
  executor* home = nullptr;  // the loop that added it
  runtime_number runtime = 0;
  bool removed = false;  // under the future's lock: remove() has counted it, and it never runs
  owned<done_callback> next;
};

/// The part of a future's state that does not depend on the result.
//
// Who ends it: setters first take claimed_, build the result in the storage, then move the word to
// done. A cancellation moves the word without asking claimed_; a setter that loses to it destroys
// what it has built. So exactly one wins, and the storage of a done word is never written.
class future_base : public eventual {
 public:
  /// Of the runtime that it belongs to; 0: none.
  [[nodiscard]] runtime_number number() const noexcept { return number_; }
  /// Before anybody else knows it.
  void belongs_to(runtime_number runtime) noexcept {
    eventual::belongs_to(short_number(runtime));
    number_ = runtime;
  }
  /// Cancels, with a message for who waits. False: it has ended already, or a setter is just ending
  /// it.
  bool cancel(std::string message);
  /// Awaits the end in the calling thread, which must not be a loop's: usage_error. False:
  /// `deadline` came first.
  bool wait_until(time_point deadline);

  callback_id add(owned<done_callback> c);
  std::size_t remove(callback_id id) noexcept;
  /// Protocol COMPARE, in future.cpp. Throws what the user's operator== throws; those that it found
  /// equal before are removed.
  std::size_t remove(const void* type, const void* f);

  /// Usage_error unless tasks of the calling runtime may await it.
  void check_runtime() const;
  /// Invalid_state_error unless it is done; cancelled_error if it was cancelled.
  void check_result() const;
  [[noreturn]] HEDDLE_COLD void throw_cancellation() const;
  /// The same for a task that awaited it: if the future has no message, that of the task's own
  /// cancellation, which came this way.
  [[noreturn]] HEDDLE_COLD void throw_cancellation(task_record* waited) const;

  /// True when the caller may build the result: nobody else will.
  [[nodiscard]] bool claim() noexcept { return !done() && !claimed_.exchange(true, acq_rel); }
  /// The result is in its place. False: cancelled meanwhile, destroy it.
  [[nodiscard]] bool end(outcome how) noexcept;
  [[noreturn]] HEDDLE_COLD static void throw_ended_before();

  /// The promise is being destroyed, unset. True: somebody may still ask, so the caller is to fail
  /// it. False: it is as good as gone.
  [[nodiscard]] bool somebody_cares() noexcept;

 protected:
  explicit future_base(const eventual_ops& ops) noexcept;
  ~future_base() { delete message_.load(relaxed); }

  /// eventual_ops.finish: posts the done-callbacks and drops the pending reference. Once.
  static void fire_callbacks(eventual& self, work_list&) noexcept;

 private:
  // Until it ends the state holds a reference to itself, which whoever ends it drops last of all:
  // those it lets go on may destroy every handle, the promise included, while the call that set it
  // has not returned yet.
  static constexpr std::uint32_t pending_and_promise = 2;

  class comparing;

  spin_lock lock_;  // guards fired_, comparers_ and callbacks_
  bool fired_ = false;
  atomic<bool> claimed_{false};
  std::uint16_t comparers_ = 0;
  runtime_number number_ = 0;
  owned<done_callback> callbacks_;  // the latest first
  // Written by a canceller that holds the claim, perhaps while another one, without a message, ends
  // it.
  atomic<std::string*> message_{nullptr};
};

/// What the futures of a promise that is dropped unset end with: broken_promise, naming the task
/// that dropped it.
std::exception_ptr promise_dropped() noexcept;

template <class T>
struct future_traits {
  using stored = T;
  using reference = T&;
};
template <class T>
struct future_traits<T&> {
  using stored = T*;
  using reference = T&;
};
template <>
struct future_traits<void> {
  struct nothing {};
  using stored = nothing;
  using reference = void;
};

template <class T>
class future_state final : public future_base, public frame_cached {
 public:
  using stored = typename future_traits<T>::stored;
  using slot = result_slot<stored>;

  future_state() noexcept : future_base(ops) {}

  template <class... Args>
  void set(Args&&... args) {
    if (done()) throw_ended_before();
    // What can throw is done before the claim: a claim is always followed by an end.
    if constexpr (slot::fits) {
      stored made(std::forward<Args>(args)...);
      if (!claim()) throw_ended_before();
      ::new (static_cast<void*>(storage_)) stored(std::move(made));
    } else {
      auto made = owned<stored>(new stored(std::forward<Args>(args)...));
      if (!claim()) throw_ended_before();
      ::new (static_cast<void*>(storage_)) stored*(made.release());
    }
    if (end(outcome::value)) return;
    slot::destroy(storage_);
    throw_ended_before();
  }
  /// False: it has ended already.
  bool fail(std::exception_ptr error) noexcept {
    if (!claim()) return false;
    ::new (static_cast<void*>(storage_)) std::exception_ptr(std::move(error));
    if (end(outcome::error)) return true;
    std::destroy_at(&error_in(storage_));
    return false;
  }

  /// Done, and not cancelled: the error thrown, or the value.
  typename future_traits<T>::reference value() {
    if (how_ended() == outcome::error) [[unlikely]] {
      mark_retrieved();
      std::rethrow_exception(error_in(storage_));
    }
    if constexpr (std::is_reference_v<T>)
      return *slot::get(storage_);
    else if constexpr (!std::is_void_v<T>)
      return slot::get(storage_);
  }
  std::exception_ptr error() noexcept {
    if (how_ended() != outcome::error) return nullptr;
    mark_retrieved();
    return error_in(storage_);
  }

 private:
  static void drop(eventual& self) noexcept {
    auto& s = static_cast<future_state&>(self);
    switch (s.how_ended()) {
      case outcome::value: slot::destroy(s.storage_); break;
      case outcome::error:
        if (!s.is_retrieved()) return report_unretrieved(s, error_in(s.storage_));
        std::destroy_at(&error_in(s.storage_));
        break;
      default: break;
    }
    delete &s;
  }
  static constexpr eventual_ops ops{&drop, nullptr, &fire_callbacks};
  static constexpr std::size_t size = slot::fits && sizeof(stored) > sizeof(void*) ? sizeof(stored)
                                                                                   : sizeof(void*);

  alignas(8) std::byte storage_[size];
};

/// A counted handle.
template <class T>
class future_ref {
 public:
  future_ref() noexcept = default;
  /// Adopts one reference.
  explicit future_ref(future_state<T>* s) noexcept : state_(s) {}
  future_ref(const future_ref& other) noexcept : state_(other.state_) {
    if (state_) state_->ref();
  }
  future_ref(future_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  future_ref& operator=(future_ref other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~future_ref() {
    if (state_) state_->unref();
  }
  static future_ref to(future_state<T>& s) noexcept {
    s.ref();
    return future_ref(&s);
  }
  [[nodiscard]] future_state<T>* get() const noexcept { return state_; }
  /// Gives the reference away.
  [[nodiscard]] future_state<T>* release() noexcept { return std::exchange(state_, nullptr); }
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  future_state<T>* state_ = nullptr;
};

/// Awaits the end. Cancelling the task goes to the future. `Moves`: the result is moved out.
template <class T, bool Moves>
class future_awaiter final : private join_wait, private ready_await {
 public:
  explicit future_awaiter(future_state<T>& f) noexcept : join_wait(f) {}
  /// Takes over a reference.
  explicit future_awaiter(future_ref<T> f) noexcept : join_wait(*f.release()), keeps_(true) {}
  ~future_awaiter() {
    if (keeps_) state().unref();
  }

  bool await_ready() {
    if (ready()) return go_on();
    state().check_runtime();
    return false;
  }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    if (!keeps_) state().ref();  // the handle may be assigned to while we wait
    keeps_ = true;
    if (stands_back()) return stand_back(h, [this](task_record& t) { ended_meanwhile(t); });
    return suspend(h.promise().suspending(h));
  }
  auto await_resume() -> std::conditional_t<Moves, T, typename future_traits<T>::reference> {
    auto& f = state();
    const auto how = f.how_ended();
    if (how == outcome::error)
      f.mark_retrieved();  // also if a cancellation of the task takes its place
    check_cancel();
    if (how == outcome::cancelled) [[unlikely]]
      f.throw_cancellation(suspended());
    if constexpr (Moves && !std::is_reference_v<T> && !std::is_void_v<T>)
      return std::move(f.value());
    else
      return f.value();
  }

 private:
  [[nodiscard]] future_state<T>& state() const noexcept {
    return static_cast<future_state<T>&>(awaited());
  }

  bool keeps_ = false;  // a reference, from its suspension on; at once if the result is to be moved
};

/// F as a done-callback: called with the future, or with nothing.
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

template <class T>
class future_operations;

}  // namespace detail

/// The end of something, to be awaited. Copyable: all copies share one result, and any number of
/// tasks may await it, on any loop.
///
/// Cost      a ready await: a load. A waiting one: two locked operations and two for its
///           reference; nothing is allocated
/// Ordering  what was written before the set is seen by who awaited it
/// Cancel    a cancelled `co_await f` cancels the future, for all who await it, as in asyncio
///           (shield it, if they shall not know)
/// Throws    what was set; cancelled_error; usage_error when the future is empty or of another
///           runtime
/// Thread-safety: a handle like a shared_ptr, one thread at a time; what it refers to, from any
/// thread. Several tasks that read one result share an object: they must not change it without a
/// lock.
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

  /// Ends it as cancelled, at once, unless it is done: then false. Whoever awaits it gets a
  /// cancelled_error with `message`.
  bool cancel(std::string message = {}) const { return state().cancel(std::move(message)); }

  /// The result. Throws what was set; cancelled_error; invalid_state_error if it is not done yet.
  reference result() const {
    auto& s = state();
    s.check_result();
    return s.value();
  }
  /// The error, or null if there is a value. Throws cancelled_error, or invalid_state_error if it
  /// is not done yet.
  [[nodiscard]] std::exception_ptr exception() const {
    auto& s = state();
    s.check_result();
    return s.error();
  }

  /// Calls `f(future)` (or `f()`) once it is done: never inside this call or the set, but on the
  /// loop that added it, in order of adding. Added by a foreign thread: on a loop of the future's
  /// runtime; if it has none, in the thread that ends it.
  template <class F>
    requires std::invocable<std::decay_t<F>&, future> || std::invocable<std::decay_t<F>&>
  callback_id add_done_callback(F&& f) const {
    auto& s = state();
    return s.add(detail::owned<detail::done_callback>(
        new detail::bound_done_callback<T, std::decay_t<F>>(std::forward<F>(f))));
  }
  /// How many were removed: callbacks that are on their way already are not.
  std::size_t remove_done_callback(callback_id id) const { return state().remove(id); }
  /// Removes every callback that compares equal to `f`.
  template <class F>
    requires std::equality_comparable<std::decay_t<F>> &&
             (!std::same_as<std::decay_t<F>, callback_id>)
  std::size_t remove_done_callback(const F& f) const {
    const std::decay_t<F> value = f;
    return state().remove(detail::bound_done_callback<T, std::decay_t<F>>::type(), &value);
  }

  /// Blocks a foreign thread until it is done. Throws usage_error in a loop's thread, which must
  /// not block: `co_await` it there.
  void wait() const { (void)state().wait_until(time_point::max()); }
  /// The same, at most for `d`. True: it is done. Throws bad_value for a NaN.
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
  /// Yields the result, moved out: for whoever is the only one to want it.
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

/// A future seen from outside, whatever its result: for reports. Copyable, counted, perhaps empty.
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

/// The side that sets. Move-only. Destroyed before it was set, it gives those who wait a
/// broken_promise.
///
/// Cost      one block from the thread's cache; a set: five locked operations, and one for each who
///           waits, who is then scheduled
/// Ordering  set_value() synchronizes-with whoever sees the future done
/// Cancel    does not wait. A future that was cancelled is done: setting it throws
/// Throws    invalid_state_error if it was set or cancelled before; of several that set at once
///           exactly one succeeds
/// Thread-safety: set from any thread.
template <class T>
class [[nodiscard]] promise {
 public:
  using value_type = T;

  /// The future belongs to the runtime of the caller; to none, and so to all, if a foreign thread
  /// makes it.
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

  /// A handle to what will be set. Any number of times.
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
  /// asyncio's word for the same.
  template <class... Args>
  void set_result(Args&&... args) {
    set_value(std::forward<Args>(args)...);
  }
  /// Throws bad_value for a null pointer.
  void set_exception(std::exception_ptr error) {
    if (!error) throw bad_value("set_exception of a null exception_ptr");
    if (!state().fail(std::move(error))) detail::future_base::throw_ended_before();
  }
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  void set_exception(E&& error) {
    set_exception(std::make_exception_ptr(std::forward<E>(error)));
  }
  /// Ends the future as cancelled. False: it is done already.
  bool cancel(std::string message = {}) { return state().cancel(std::move(message)); }

  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }
  /// Set, or cancelled by whoever wanted it: then there is no need to go on.
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
    // Whoever waits gets the error; if nobody does, it is the trace of a teardown and not worth a
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
