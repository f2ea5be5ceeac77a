// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// What a future and its promise share.
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

}  // namespace detail
}  // namespace heddle
