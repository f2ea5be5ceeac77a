// SPDX-License-Identifier: MIT
// Internal to io.
// The places of a server with server_options::max_connections.
//
//   place mine = place::take(all);  // empty: all are taken
#pragma once

#include <heddle/core/record/wait.h>

#include <cstddef>
#include <memory>
#include <source_location>
#include <utility>

namespace heddle::detail {

/// So many places, and the accepting tasks that wait for one.
//
// taken_  under the lock of the queue
class places : public wait_queue {
 public:
  explicit places(std::size_t most) noexcept : most_(most) {}

  /// False: all are taken.
  [[nodiscard]] bool take() noexcept {
    lock();
    const bool has = taken_ < most_;
    if (has) ++taken_;
    unlock();
    return has;
  }
  /// Wakes all accepting tasks that wait. One alone might find that no guest waits at its own
  /// listener, while guests wait at another one.
  void give_back() noexcept;

 private:
  friend class place_wait;
  const std::size_t most_;
  std::size_t taken_ = 0;
};

/// One place, given back at the end. Empty where there is no limit, too.
class place {
 public:
  place() noexcept = default;
  place(place&&) noexcept = default;
  place& operator=(place&& other) noexcept {
    in_.swap(other.in_);
    return *this;
  }
  ~place() {
    if (in_) in_->give_back();
  }
  /// Empty: all are taken.
  [[nodiscard]] static place take(const std::shared_ptr<places>& in) noexcept {
    place p;
    if (in->take()) p.in_ = in;
    return p;
  }
  [[nodiscard]] explicit operator bool() const noexcept { return in_ != nullptr; }

 private:
  std::shared_ptr<places> in_;
};

/// Waits until a place may be free.
class place_wait final : public queue_waiter {
 public:
  explicit place_wait(places& p) noexcept : queue_waiter(p), places_(p) {}

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return "max_connections"; }

 private:
  [[nodiscard]] bool suspend(task_record& t) noexcept;

  places& places_;
};

}  // namespace heddle::detail
