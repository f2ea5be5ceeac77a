// SPDX-License-Identifier: MIT
// any_task: a task seen from outside, whatever its result type.
//
//   auto job = h::create_task(sleep_long());
//   const h::any_task watched = job;
//   watched.cancel("not needed any more");     // the task ends at its present or next wait
#pragma once

#include <heddle/core/context.h>
#include <heddle/core/errors.h>
#include <heddle/core/record/task_record.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle {

/// A counted reference to a task: its name, its state, and the way to cancel it. It may outlive the
/// task and its runtime. Copyable. Dropping it neither cancels the task nor waits for it.
/// Thread-safety: every function may be called from any thread.
class any_task {
 public:
  any_task() noexcept = default;
  /// Takes over one reference.
  explicit any_task(detail::task_record* r) noexcept : record_(r) {}
  any_task(const any_task& other) noexcept : record_(other.record_) {
    if (record_) record_->ref();
  }
  any_task(any_task&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  any_task& operator=(any_task other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~any_task() {
    if (record_) record_->unref();
  }

  [[nodiscard]] bool valid() const noexcept { return record_ != nullptr; }
  friend bool operator==(const any_task&, const any_task&) = default;

  /// The task has ended: with a value, with an error, or cancelled.
  [[nodiscard]] bool done() const { return at().done(); }
  /// The task has ended cancelled.
  [[nodiscard]] bool cancelled() const { return at().how_ended() == detail::outcome::cancelled; }
  /// Asks the task to stop: `cancelled_error` (with `message`) is thrown at its present or next
  /// wait. Runs nothing of the task inside this call. False: the task had ended already.
  bool cancel(std::string_view message = {}) const;
  /// How many cancellations were asked for and not taken back by uncancel() (asyncio:
  /// cancelling()).
  [[nodiscard]] unsigned cancelling() const { return detail::word::requests(at().state().load()); }
  /// Takes one request back. When none is left, a cancellation that is not yet delivered is
  /// withdrawn. Returns how many are left.
  unsigned uncancel() const { return at().state().uncancel(); }

  /// The context in which the task runs. What the task or the caller sets there, both see.
  [[nodiscard]] context get_context() const;

  /// The name that was set, or a default such as "task-7". Defaults are unique, and number the
  /// tasks in the order in which their names were first asked for.
  [[nodiscard]] std::string get_name() const;
  void set_name(std::string name) const;
  /// A text for people: "running or ready", "waiting", "waiting for a task or future", "done",
  /// "cancelled", "failed".
  [[nodiscard]] std::string state() const;

  /// For the library.
  [[nodiscard]] detail::task_record* record() const noexcept { return record_; }

 protected:
  [[nodiscard]] detail::task_record& at() const {
    if (!record_) [[unlikely]]
      throw_empty();
    return *record_;
  }
  [[noreturn]] static void throw_empty();

  detail::task_record* record_ = nullptr;
};

/// The task whose code runs now, or an invalid handle outside of tasks (in callbacks, on foreign
/// threads).
HEDDLE_NOINLINE any_task current_task() noexcept;
/// All tasks of the calling loop's runtime that have not ended, the caller included. Cost: a look
/// at every record of the process. Throws no_running_loop.
std::vector<any_task> all_tasks();

}  // namespace heddle
