// SPDX-License-Identifier: MIT
// async_generator<T>: a coroutine that yields values one by one and may await between them.
//
//   h::async_generator<int> count(int n) {
//     for (int i = 0; i < n; ++i) {
//       co_await h::sleep(100us);
//       co_yield i;
//     }
//   }
//   auto numbers = count(10);
//   while (auto* item = co_await numbers.next()) {
//     sum += *item;
//     if (*item == 3) break;                    // a break closes nothing:
//   }
//   co_await numbers.aclose();                  // this runs the generator's cleanup
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/memory/memory.h>
#include <heddle/core/record/context_slot.h>
#include <heddle/core/task.h>
#include <heddle/sched/runtime/generator_registry.h>

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace heddle {

template <class T>
class async_generator;

/// Thrown out of the `co_yield` at which a generator is closed, so that its cleanup runs. It is no
/// std::exception, like cancelled_error. Code that catches it must rethrow it or return. If the
/// generator yields again, aclose() fails.
class generator_exit {
 public:
  [[nodiscard]] const char* what() const noexcept { return "the generator is closed"; }
};

namespace detail {

/// fresh      no value was asked for yet
/// suspended  at a yield
/// running    a task is in next()
/// closing    a closer is in the generator, or about to be; it holds a reference
/// ended      by its return, by an error, or closed
enum class generator_phase : std::uint8_t { fresh, suspended, running, closing, ended };

/// The promise of a generator, without its value.
///
/// A generator is called like a task. Its frame takes the record of the task that calls next(). So
/// that task awaits what the generator awaits, and the generator is resumed by symmetric transfer.
/// Between two values it belongs to no task.
//
// Who may touch what:
//   phase_     any thread, atomically. The thread that moves it to running or closing owns all
//              below, until it moves the phase on.
//   all else   generator_registry.h, at listed_generator
class generator_base : public listed_generator {
 public:
  /// Claims the generator for `caller`, before it is resumed for a value. False: it has ended.
  /// Throws usage_error if a task is in it already. `where`: the place of the co_await.
  [[nodiscard]] bool enter(promise_base& caller, std::coroutine_handle<> at,
                           std::source_location where) {
    auto was = generator_phase::suspended;
    // pairs with hand_back()
    if (!phase_.compare_exchange_strong(was, generator_phase::running, acq_rel, acquire))
        [[unlikely]]
      if (!enter_slow(was, caller)) return false;
    called_by(caller, at, where);
    return true;
  }
  /// The same for a closer, which has claimed the generator already.
  void enter_to_close(promise_base& caller, std::coroutine_handle<> at,
                      std::source_location where) noexcept {
    exits_ = true;
    called_by(caller, at, where);
  }
  /// Claims the generator for a closer. False: there is nothing to close; a fresh one has ended by
  /// this call. Throws usage_error if a task or another closer is in it.
  [[nodiscard]] bool claim_to_close();
  /// The same for closers of the library: false also if a task or another closer is in it.
  [[nodiscard]] bool try_claim_to_close() noexcept {
    auto was = generator_phase::suspended;
    // pairs with hand_back()
    return phase_.compare_exchange_strong(was, generator_phase::closing, acq_rel, acquire);
  }
  /// For a closer, after it has resumed the generator. Throws usage_error if the generator yielded;
  /// else the error of its cleanup.
  void check_closed();
  /// The handle is gone. If the generator is at a yield, a task of the runtime closes it.
  /// Generators that it holds are let go of before this returns. However many generators hold each
  /// other, the calls on the stack are bounded.
  void let_go() noexcept;

  [[nodiscard]] bool has_ended() const noexcept {
    // pairs with hand_back()
    return phase_.load(acquire) == generator_phase::ended;
  }
  [[nodiscard]] bool exits() const noexcept { return exits_; }
  /// True: the last resumption came to a yield.
  [[nodiscard]] bool yielded() const noexcept { return yielded_; }
  /// The error with which it ended, or null. Yields the error once.
  [[nodiscard]] std::exception_ptr take_error() noexcept { return std::exchange(error_, nullptr); }

  struct at_yield {
    generator_base* generator;
    static bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) noexcept {
      return generator->hand_back(true, generator_phase::suspended);
    }
    void await_resume() const {
      if (generator->exits()) throw generator_exit();
    }
  };
  struct at_end {
    static bool await_ready() noexcept { return false; }
    template <class P>
    static std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
      generator_base& g = h.promise();
      g.unlist();
      return g.hand_back(false, generator_phase::ended);
    }
    static void await_resume() noexcept {}
  };
  static at_end final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { error_ = std::current_exception(); }
  static void return_void() noexcept {}

 protected:
  generator_base() = default;
  ~generator_base() = default;

 private:
  void called_by(promise_base& caller, std::coroutine_handle<> at,
                 std::source_location where) noexcept {
    end.called_at(where);
    continuation = at;
    record = caller.record;
  }
  std::coroutine_handle<> hand_back(bool yields, generator_phase to) noexcept {
    const auto caller = continuation;
    yielded_ = yields;
    if (exits_ && yields) to = generator_phase::closing;  // its closer throws: check_closed()
    // pairs with enter() and try_claim_to_close()
    phase_.store(to, release);
    return caller;  // another task may be in the generator from here on
  }
  HEDDLE_COLD bool enter_slow(generator_phase was, promise_base& caller);
  void unlist() noexcept;
  void let_go_now() noexcept;

  atomic<generator_phase> phase_{generator_phase::fresh};
  bool exits_ = false;
  bool yielded_ = false;
  atomic<runtime_number> runtime_{0};  // 0: not listed
  generator_base* later_ = nullptr;    // of the thread that lets it go: see let_go()
  std::exception_ptr error_;
};

using generator_ref = counted_ptr<generator_base>;

/// A value, from its yield to the next one. A promise is aligned to at most 16 bytes
/// (promise_base::of). So a value with a larger alignment stands in a block of its own, at the cost
/// of an allocation for each such value.
template <class T>
class generator_value {
 public:
  template <class U>
  void emplace(U&& value) {
    if constexpr (stands_here)
      held_.emplace(std::forward<U>(value));
    else
      held_.reset(new T(std::forward<U>(value)));
  }
  [[nodiscard]] T* get() noexcept { return std::addressof(*held_); }

 private:
  static constexpr bool stands_here = alignof(T) <= 16;
  std::conditional_t<stands_here, std::optional<T>, owned<T>> held_;
};

template <class T>
class generator_promise final : public generator_base {
 public:
  async_generator<T> get_return_object() noexcept;
  at_yield yield_value(T&& value) {
    value_.emplace(std::move(value));
    return {this};
  }
  at_yield yield_value(const T& value) {
    value_.emplace(value);
    return {this};
  }
  [[nodiscard]] T* value() noexcept { return value_.get(); }

 private:
  generator_value<T> value_;
};

template <class T>
class generator_promise<T&> final : public generator_base {
 public:
  async_generator<T&> get_return_object() noexcept;
  at_yield yield_value(T& value) noexcept {
    value_ = std::addressof(value);
    return {this};
  }
  [[nodiscard]] T* value() noexcept { return value_; }

 private:
  T* value_ = nullptr;
};

/// The await of next().
template <class T>
class generator_next {
 public:
  explicit generator_next(generator_promise<T>& g) noexcept : generator_(&g) {}

  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> caller,
                                        std::source_location where = HEDDLE_HERE) {
    entered_ = generator_->enter(caller.promise(), caller, where);
    return entered_ ? generator_->handle() : std::coroutine_handle<>(caller);
  }
  std::remove_reference_t<T>* await_resume() {
    if (!entered_) return nullptr;
    if (generator_->yielded()) [[likely]]
      return generator_->value();
    if (auto error = generator_->take_error()) std::rethrow_exception(std::move(error));
    return nullptr;
  }

 private:
  generator_promise<T>* generator_;
  bool entered_ = false;
};

/// The task that aclose() returns.
task<> close_generator(generator_ref g);
/// Closes all of these, which nobody else will, at the same time, and reports what their cleanups
/// throw.
task<> close_generators(generator_chain all);

}  // namespace detail

/// An asynchronous sequence: what a coroutine that uses co_yield returns.
///
/// The body runs inside next(), as a part of the task that calls next(). Its current task, context,
/// cancellation and timeouts are those of the caller. An exception that leaves the body, a
/// cancellation too, ends the generator. A value lives until the next call of next(), and may be
/// moved from. async_generator<T&> yields references.
///
/// A generator at a yield is closed by aclose(): generator_exit is thrown at that yield, and the
/// cleanup may await. A break out of the loop closes nothing (see the head of this file).
///
/// Forgotten generators are closed too.
///   destroyed   If the object is destroyed, a task of the library closes the generator at once.
///               The generator's destructors have then run, unless its cleanup awaits. An error of
///               the cleanup is reported.
///   left over   If a runtime ends, it closes its generators after all its tasks have ended.
///   too late    Where neither is possible, the destructors run without the cleanup, and that is
///               reported.
/// Cost      one frame; for a value some 10 ns (a compare-exchange and two transfers)
/// Throws    usage_error if a second task calls next() while one is in it
/// Thread-safety  one task at a time, on any loop
template <class T>
class [[nodiscard]] async_generator {
 public:
  using promise_type = detail::generator_promise<T>;
  using value_type = std::remove_cvref_t<T>;

  async_generator() noexcept = default;
  explicit async_generator(promise_type& p) noexcept : promise_(&p) {}
  async_generator(async_generator&& other) noexcept
      : promise_(std::exchange(other.promise_, nullptr)) {}
  async_generator& operator=(async_generator&& other) noexcept {
    if (this != &other) {
      auto* old = std::exchange(promise_, std::exchange(other.promise_, nullptr));
      if (old) old->let_go();
    }
    return *this;
  }
  ~async_generator() {
    if (promise_) promise_->let_go();
  }

  /// False: the object was moved from, or default-constructed.
  [[nodiscard]] bool valid() const noexcept { return promise_ != nullptr; }
  /// The generator has ended or was closed: next() yields null.
  [[nodiscard]] bool done() const { return at().has_ended(); }

  /// `co_await g.next()` runs the body to its next value and yields a pointer to that value. At the
  /// end of the body, and ever after, it yields null. Throws what the body throws, once;
  /// usage_error if a task is in the generator already.
  [[nodiscard]] detail::generator_next<T> next() { return detail::generator_next<T>(at()); }
  /// Ends the generator at its present yield, and awaits its cleanup. A generator that has not
  /// begun never runs. Closing one that has ended does nothing.
  /// Throws    what the cleanup throws; usage_error if a task is in the generator, or if it yields
  ///           instead of ending (it then counts as ended)
  /// Cancel    reaches what the cleanup awaits
  [[nodiscard]] task<> aclose() {
    at().ref();
    return detail::close_generator(detail::generator_ref(&at()));
  }

 private:
  [[nodiscard]] promise_type& at() const {
    if (!promise_) detail::throw_usage("use of an empty async_generator: it was moved from");
    return *promise_;
  }
  promise_type* promise_ = nullptr;
};

namespace detail {

template <class T>
async_generator<T> generator_promise<T>::get_return_object() noexcept {
  return async_generator<T>(*this);
}
template <class T>
async_generator<T&> generator_promise<T&>::get_return_object() noexcept {
  return async_generator<T&>(*this);
}

template <class T, class F>
task<> for_each_item(async_generator<T>& generator, F& f) {
  for (;;) {  // not in the loop's condition: g++ 12
    auto* item = co_await generator.next();
    if (!item) break;
    if constexpr (is_task<std::remove_cvref_t<decltype(f(*item))>>) {
      auto step = f(*item);
      (void)co_await std::move(step);
    } else {
      (void)f(*item);
    }
  }
}
template <class T, class F>
task<> for_each_of(async_generator<T>& generator, F f) {
  auto loop = for_each_item(generator, f);
  co_await std::move(loop);
}
template <class T, class F>
task<> for_each_of_kept(async_generator<T> generator, F f) {
  std::exception_ptr error;
  try {
    auto loop = for_each_item(generator, f);
    co_await std::move(loop);
  } catch (...) { error = std::current_exception(); }
  if (!error) co_return;
  auto closing = generator.aclose();
  co_await std::move(closing);
  std::rethrow_exception(std::move(error));
}

}  // namespace detail

/// Calls `f(item)` for every value, one after the other. If `f` returns a task, that is awaited.
/// What `f` throws ends the loop, not the generator.
template <class T, class F>
  requires std::invocable<F&, std::remove_reference_t<T>&>
[[nodiscard]] task<> for_each(async_generator<T>& generator, F f) {
  return detail::for_each_of(generator, std::move(f));
}
/// The same for a generator that is moved in: it is kept, and closed when `f` throws.
template <class T, class F>
  requires std::invocable<F&, std::remove_reference_t<T>&>
[[nodiscard]] task<> for_each(async_generator<T>&& generator, F f) {
  return detail::for_each_of_kept(std::move(generator), std::move(f));
}

}  // namespace heddle
