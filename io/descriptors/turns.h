// SPDX-License-Identifier: MIT
// Internal to io.
// Turns of tasks that send through one descriptor.
//
// Problem   A sender that the kernel has no room for waits. Room comes, and a sender that arrives
//           just then takes it: the one that waits is overtaken, perhaps for ever. And two senders
//           of long messages would mix their pieces.
// Chosen    A sender that must wait takes a turn, and keeps it until its message is sent. Others
//           wait in line behind it. Turns of different keys are independent: a Unix receiver that
//           reads nothing holds up those alone that send to it.
// Costs     Nothing while nobody waits: one load. A turn looks through the holders of turns, one
//           for each key.
#pragma once

#include <heddle/core/record/wait.h>

#include <source_location>
#include <string>
#include <utility>

namespace heddle::detail {

class turn;

//
// waiting_, its lock   guards first_ and the turns' links, too
// held_                written under that lock; read without, as a hint
class turns {
 public:
  /// True: a task has a turn. A sender that finds false tries without one. A task that sends
  /// later on the same loop sees a turn that was taken before.
  [[nodiscard]] bool busy() const noexcept { return held_.load(relaxed) != 0; }

 private:
  friend class turn;
  wait_queue waiting_;
  turn* first_ = nullptr;  // those that hold a turn
  atomic<unsigned> held_{0};
};

/// `turn mine(all, key); co_await mine;`. The turn ends with the object.
class turn final : public queue_waiter {
 public:
  turn(turns& all, std::string key) noexcept
      : queue_waiter(all.waiting_), all_(all), key_(std::move(key)) {}
  ~turn() {
    if (holds_) pass_on();
  }

  /// Takes the turn if nobody of that key has it. True: do not await.
  [[nodiscard]] bool try_take() noexcept;

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume() {
    if (given) holds_ = true;
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return "send"; }

 private:
  [[nodiscard]] bool suspend(task_record& t) noexcept;
  void pass_on() noexcept;
  [[nodiscard]] bool is_free_locked() const noexcept;
  void hold_locked() noexcept;

  turns& all_;
  const std::string key_;
  turn* next_holder_ = nullptr;
  bool holds_ = false;
};

}  // namespace heddle::detail
