// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// What a future and its promise share: the result, the done-callbacks, and who ends it.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/memory/memory.h>
#include <heddle/core/record/task_record.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>

namespace heddle {

/// Names a done-callback, for `remove_done_callback`.
enum class callback_id : std::uint64_t {};

namespace detail {

class future_base;

/// A done-callback: in the future's list until the end, then posted as a callback.
struct done_callback : callback_base {
  /// Takes what `run` needs: a reference to the future. Called when the future has ended, before
  /// the callback is posted.
  virtual void attach(future_base& ended) noexcept = 0;
  /// True: it is equal to `f`, of the type that `type` stands for. Calls the user's operator==, so
  /// no lock may be held. Throws what that throws.
  virtual bool is(const void* type, const void* f) const = 0;

  callback_id id{};
  executor* home = nullptr;  // the loop that added it
  runtime_number runtime = 0;
  bool removed = false;  // guarded by the future's lock: remove() has counted it, it never runs
  owned<done_callback> next;
};

/// The part of a future's state that does not depend on the result.
//
// Who ends it. A setter first takes claimed_, then builds the result in the storage, then moves the
// word to done. A cancellation moves the word without asking claimed_, and a setter that loses to
// it destroys what it has built. So exactly one wins, and the storage of a done word is never
// written.
//
// Who may touch what:
//   lock_        guards fired_, comparers_ and callbacks_ (protocol COMPARE)
//   claimed_     setters, and cancellers with a message, atomically
//   number_      the maker, before others can reach the future; then constant
//   message_     written by the canceller that holds the claim; read by anyone when the word is
//                done
class future_base : public eventual {
 public:
  /// The long number of the runtime that it belongs to; 0: none.
  [[nodiscard]] runtime_number number() const noexcept { return number_; }
  /// Only before others can reach it.
  void belongs_to(runtime_number runtime) noexcept {
    eventual::belongs_to(short_number(runtime));
    number_ = runtime;
  }
  /// Cancels, with a message for those that wait. False: it has ended already, or a setter is just
  /// ending it.
  bool cancel(std::string message);
  /// Blocks the calling thread until the end. False: `deadline` came first. Throws usage_error in a
  /// loop's thread.
  bool wait_until(time_point deadline);

  callback_id add(owned<done_callback> c);
  std::size_t remove(callback_id id) noexcept;
  /// Protocol COMPARE, in future_state.cpp. Throws what the user's operator== throws; those that it
  /// found equal before are removed.
  std::size_t remove(const void* type, const void* f);

  /// Throws usage_error unless tasks of the calling runtime may await it.
  void check_runtime() const;
  /// Throws invalid_state_error unless it is done, and cancelled_error if it was cancelled.
  void check_result() const;
  [[noreturn]] HEDDLE_COLD void throw_cancellation() const;
  /// The same for the task that awaited it. If the future has no message, the error has that of the
  /// task's own cancellation, which went to the future.
  [[noreturn]] HEDDLE_COLD void throw_cancellation(task_record* waited) const;

  /// True: the caller may build the result, and nobody else will.
  [[nodiscard]] bool claim() noexcept { return !done() && !claimed_.exchange(true, acq_rel); }
  /// Ends it; the result is in its place. False: it was cancelled meanwhile, so the caller destroys
  /// the result.
  [[nodiscard]] bool end(outcome how) noexcept;
  [[noreturn]] HEDDLE_COLD static void throw_ended_before();

  /// The promise is being destroyed, unset. True: a future or a callback is left, so the caller
  /// fails it. False: nothing is left, and the pending reference is dropped.
  [[nodiscard]] bool somebody_cares() noexcept;

 protected:
  explicit future_base(const eventual_ops& ops) noexcept;
  ~future_base() { delete message_.load(relaxed); }

  /// eventual_ops.finish: posts the done-callbacks and drops the pending reference. Once.
  static void fire_callbacks(eventual& self, work_list&) noexcept;

 private:
  // Until it ends the state holds a reference to itself, the pending one. The thread that ends it
  // drops that last of all: tasks that go on may destroy every handle, the promise included, while
  // the call that set it has not returned yet.
  static constexpr std::uint32_t pending_and_promise = 2;

  class comparing;

  spin_lock lock_;
  bool fired_ = false;
  atomic<bool> claimed_{false};
  std::uint16_t comparers_ = 0;
  runtime_number number_ = 0;
  owned<done_callback> callbacks_;  // the latest first
  // Atomic, since a canceller with a message may write it while one without a message ends it.
  atomic<std::string*> message_{nullptr};
};

/// The error with which a future ends whose promise is destroyed unset: a broken_promise that names
/// the task that dropped it.
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
    if (!try_set(std::forward<Args>(args)...)) throw_ended_before();
  }
  /// False: it has ended already, and of `args` nothing is used but what making the value took.
  template <class... Args>
  bool try_set(Args&&... args) {
    if (done()) return false;
    // What can throw is done before the claim, since a claim must be followed by an end.
    if constexpr (slot::fits) {
      stored made(std::forward<Args>(args)...);
      if (!claim()) return false;
      ::new (static_cast<void*>(storage_)) stored(std::move(made));
    } else {
      auto made = owned<stored>(new stored(std::forward<Args>(args)...));
      if (!claim()) return false;
      ::new (static_cast<void*>(storage_)) stored*(made.release());
    }
    if (end(outcome::value)) return true;
    slot::destroy(storage_);
    return false;
  }
  /// False: it has ended already.
  bool fail(std::exception_ptr error) noexcept {
    if (!claim()) return false;
    ::new (static_cast<void*>(storage_)) std::exception_ptr(std::move(error));
    if (end(outcome::error)) return true;
    std::destroy_at(&error_in(storage_));
    return false;
  }

  /// The value, or throws the error. Only when done, and not cancelled.
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

}  // namespace detail
}  // namespace heddle
