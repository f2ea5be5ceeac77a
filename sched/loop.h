// SPDX-License-Identifier: MIT
// loop: an event loop as its users see it; current_loop. Callbacks, timers, readers and signals.
//
//   auto& here = h::current_loop();
//   here.call_soon([&] { ++calls; });
//   auto later = here.call_later(1h, [&] { ++calls; });
//   later.cancel();
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/clock.h>
#include <heddle/core/errors.h>
#include <heddle/core/memory/memory.h>
#include <heddle/sched/loop/driver.h>
#include <heddle/sched/loop/handler.h>
#include <heddle/sched/loop/timers.h>
#include <heddle/sched/loop/work.h>
#include <heddle/sched/runtime/timed_callback.h>

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

namespace heddle {

class runtime;

/// A callback that was given to a loop. Copyable. Dropping it does not cancel the callback.
/// Thread-safety: different handles of one callback may be used by any threads at once.
class callback_handle {
 public:
  callback_handle() noexcept = default;
  explicit callback_handle(detail::callback* c) noexcept : callback_(c) {}
  callback_handle(const callback_handle& other) noexcept : callback_(other.callback_) {
    if (callback_) callback_->ref();
  }
  callback_handle(callback_handle&& other) noexcept
      : callback_(std::exchange(other.callback_, nullptr)) {}
  callback_handle& operator=(callback_handle other) noexcept {
    std::swap(callback_, other.callback_);
    return *this;
  }
  ~callback_handle() {
    if (callback_) callback_->unref();
  }
  /// If the callback has not begun, it will not run; its captures are destroyed and its timer is
  /// removed now. From any thread. A second call does nothing.
  void cancel() noexcept {
    if (callback_) (void)callback_->cancel();
  }
  [[nodiscard]] bool cancelled() const noexcept { return callback_ && callback_->cancelled(); }
  friend bool operator==(const callback_handle&, const callback_handle&) = default;

 private:
  detail::callback* callback_ = nullptr;
};

namespace detail {

/// A callback with its callable and arguments, which it holds until it has run or was cancelled.
template <class Base, class F, class... Args>
class bound_callback : public Base {
 public:
  template <class G, class... As>
  explicit bound_callback(G&& f, As&&... args) {
    ::new (static_cast<void*>(storage_)) held{std::forward<G>(f), {std::forward<As>(args)...}};
  }
  ~bound_callback() override { release_held(); }
  [[nodiscard]] const std::type_info& function_type() const noexcept override { return typeid(F); }

 private:
  struct held {
    F function;
    std::tuple<Args...> arguments;
  };
  held& get() noexcept { return *std::launder(reinterpret_cast<held*>(storage_)); }
  void invoke() override { std::apply(std::move(get().function), std::move(get().arguments)); }
  void release() noexcept override { release_held(); }
  void release_held() noexcept {
    if (std::exchange(holds_, false)) std::destroy_at(&get());
  }
  alignas(held) std::byte storage_[sizeof(held)];
  bool holds_ = true;
};

}  // namespace detail

/// One event loop: a thread that runs tasks and callbacks, one at a time. `current_loop()` and
/// `runtime::loop(i)` return it.
/// Thread-safety  every function may be called from any thread
class loop : public detail::executor {
 public:
  /// Runs `f(args...)` on this loop as soon as it can; never inside this call. Callbacks that one
  /// thread gives run in that order. What `f` throws goes to the exception handler.
  /// Cost      one block from the thread's cache, one queue entry
  /// Throws    usage_error once the runtime has shut down
  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
  callback_handle call_soon(F&& f, Args&&... args) {
    return post(
        new detail::bound_callback<detail::callback, std::decay_t<F>, std::decay_t<Args>...>(
            std::forward<F>(f), std::forward<Args>(args)...));
  }
  /// The same, not before `delay` has passed. A negative delay counts as passed. Throws bad_value
  /// for a NaN.
  template <class Rep, class Period, class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
  callback_handle call_later(std::chrono::duration<Rep, Period> delay, F&& f, Args&&... args) {
    return call_at(saturating_add(now(), to_duration(delay)), std::forward<F>(f),
                   std::forward<Args>(args)...);
  }
  /// The same, not before `when`.
  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
  callback_handle call_at(time_point when, F&& f, Args&&... args) {
    return post_at(
        new detail::bound_callback<detail::timed_callback, std::decay_t<F>, std::decay_t<Args>...>(
            std::forward<F>(f), std::forward<Args>(args)...),
        when);
  }
  /// Calls `f(args...)` on this loop, as a callback, while `descriptor` has something to read or is
  /// at its end: again and again, until remove_reader. It replaces the reader that the descriptor
  /// had, on whatever loop of the runtime. The writer stays. Remove both before you close the
  /// descriptor.
  /// Cost      one poll() for each call of `f`; for bytes use streams
  /// Throws    usage_error for the descriptor of a stream, or after shutdown; std::system_error for
  ///           a descriptor that cannot be polled, such as a file's
  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>&, std::decay_t<Args>&...>
  void add_reader(int descriptor, F&& f, Args&&... args) {
    subscribe(detail::occasion::readable, descriptor,
              detail::make_handler(std::forward<F>(f), std::forward<Args>(args)...));
  }
  /// The reader of `descriptor` is not called any more. Its captures are destroyed, except those of
  /// a call that is under way. Any loop of the runtime may remove what another one has added.
  /// False: there was no reader.
  bool remove_reader(int descriptor) { return unsubscribe(detail::occasion::readable, descriptor); }
  /// The same as add_reader, for room to write and for errors.
  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>&, std::decay_t<Args>&...>
  void add_writer(int descriptor, F&& f, Args&&... args) {
    subscribe(detail::occasion::writable, descriptor,
              detail::make_handler(std::forward<F>(f), std::forward<Args>(args)...));
  }
  /// The same as remove_reader, for the writer.
  bool remove_writer(int descriptor) { return unsubscribe(detail::occasion::writable, descriptor); }
  /// Calls `f(args...)` on this loop for each signal `number` of the process, as a callback and not
  /// in the signal's context. It replaces the handler that the runtime had for that signal. The
  /// kernel merges equal signals that come faster than they are fetched.
  /// Throws    bad_value for a number that is no signal; usage_error for SIGKILL, SIGSTOP and
  ///           others that cannot be caught, or after shutdown
  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>&, std::decay_t<Args>&...>
  void add_signal_handler(int number, F&& f, Args&&... args) {
    subscribe(detail::occasion::signal, number,
              detail::make_handler(std::forward<F>(f), std::forward<Args>(args)...));
  }
  /// Restores the action that the signal had before. The end of the runtime does the same. False:
  /// there was no handler. Throws bad_value.
  bool remove_signal_handler(int number) { return unsubscribe(detail::occasion::signal, number); }
  /// The loop's clock, in nanoseconds.
  [[nodiscard]] time_point now() const noexcept { return clock::now(); }
  /// The number of this loop in its runtime, from 0.
  [[nodiscard]] unsigned index() const noexcept { return index_; }
  /// The runtime of this loop.
  [[nodiscard]] runtime& owner() const noexcept { return *owner_; }

 protected:
  loop(runtime& owner, unsigned index) noexcept : owner_(&owner), index_(index) {}
  ~loop() = default;

 private:
  // By the loop behind this face (loop/worker.h).
  virtual callback_handle post(detail::callback* c) = 0;
  virtual callback_handle post_at(detail::timed_callback* c, time_point when) = 0;
  virtual void subscribe(detail::occasion when, int number,
                         detail::counted_ptr<detail::handler> what) = 0;
  virtual bool unsubscribe(detail::occasion when, int number) = 0;

  runtime* owner_;
  unsigned index_;
};

/// What one loop did since it was started. A reader sees each number whole, but not all numbers of
/// one instant.
struct loop_stats {
  unsigned id = 0;
  std::uint64_t run = 0;        // steps of tasks and callbacks
  std::uint64_t stolen = 0;     // tasks and strands taken from other loops
  std::uint64_t parked = 0;     // times it went to sleep
  std::uint64_t woken = 0;      // times another thread woke it
  std::uint64_t polls = 0;      // looks at the reactor
  std::uint64_t io_events = 0;  // events found there
  std::uint64_t rescues = 0;    // times it served the reactor and timers of a hogged loop
  std::uint64_t created = 0;    // tasks made here
  std::uint64_t finished = 0;   // tasks ended here
  std::uint64_t busy_ns = 0;    // time not spent parked
  std::size_t queue = 0;        // tasks ready to run
  std::size_t forks = 0;        // strands ready to run
  std::size_t inbox = 0;        // 1 if something waits there
  std::size_t timers = 0;       // timers armed
};

/// The loop that runs the calling task or callback. Throws no_running_loop elsewhere.
HEDDLE_NOINLINE loop& current_loop();
/// The same, or nullptr.
HEDDLE_NOINLINE loop* current_loop_if_any() noexcept;

}  // namespace heddle
