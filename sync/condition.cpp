// SPDX-License-Identifier: MIT
#include <heddle/sync/condition.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>

#include <array>
#include <exception>
#include <limits>
#include <source_location>
#include <string>

namespace heddle {

using namespace detail;

/// The wait between the unlock and the next lock. It is linked before the unlock, so a notify()
/// that follows the unlock finds it.
class condition::waiting final : public queue_waiter {
 public:
  explicit waiting(condition& c) noexcept : queue_waiter(c.waiters_), condition_(c) {}

  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  /// True: notified. False: cancelled, and `error` holds the exception. It does not throw here: the
  /// task takes the mutex again first.
  bool await_resume() noexcept {
    if (!cancelled_at_resume(*this)) return true;
    try {
      throw_cancelled(*task);
    } catch (...) { error = std::current_exception(); }
    return false;
  }
  [[nodiscard]] bool notified() const noexcept { return given; }

  std::exception_ptr error;

 private:
  // After the queue's unlock another loop may resume the task, and this frame may be freed. So the
  // mutex, which is unlocked last, is looked up first.
  bool suspend(task_record& t) noexcept {
    auto& m = *condition_.mutex_;
    condition_.waiters_.lock();
    const bool waits = condition_.waiters_.suspend(*this, t);
    condition_.waiters_.unlock();
    m.unlock();
    return waits;
  }
  const char* name() const noexcept override { return "condition"; }

  condition& condition_;
};

task<bool> condition::wait() {
  check_locked("wait");
  bool notified;
  std::exception_ptr error;
  {
    waiting mine(*this);
    co_await mine;
    notified = mine.notified();
    error = std::move(mine.error);
  }
  // The task takes the mutex again before anything is thrown, however often it is cancelled while
  // it waits for that. The latest cancellation is the one that is thrown.
  for (bool locked = false; !locked;) {
    auto relock = mutex_->lock();
    try {
      co_await relock;
      locked = true;
    } catch (const cancelled_error&) { error = std::current_exception(); }
  }
  if (!error) co_return true;
  // Notified and then cancelled: this task will not act on the notification, so the next one gets
  // it.
  if (notified) wake(1);
  std::rethrow_exception(std::move(error));
}

void condition::notify(std::ptrdiff_t count) {
  check_locked("notify");
  wake(checked<std::size_t>(count, "the count of condition::notify"));
}

void condition::notify_all() {
  check_locked("notify_all");
  wake(std::numeric_limits<std::size_t>::max());
}

void condition::wake(std::size_t count) noexcept {
  work_list todo;
  waiters_.lock();
  for (; count > 0; --count) {
    waiter* next = waiters_.claim_first();
    if (!next) break;
    next->given = true;
    todo.schedule(*next->task);
  }
  waiters_.unlock();
  todo.settle();
}

void condition::check_locked(const char* what) const {
  if (!mutex_->locked()) throw_usage(std::string(what) + " of a condition whose lock is not held");
}

}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<condition> {
  static constexpr seeing::kind_row kinds[] = {
      // The reference to the condition is the last member.
      {.type = "N6heddle9condition7waitingE",
       .name = "condition",
       .object = {sizeof(queue_waiter) + sizeof(std::exception_ptr), sizeof(condition)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto condition_kinds = std::to_array(layout_of<condition>::kinds);
}  // namespace

}  // namespace heddle::detail
