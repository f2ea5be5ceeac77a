// SPDX-License-Identifier: MIT
// Internal to io.
// A read of a file's cached bytes never waits. A task that does nothing else would hold its loop
// for ever, and no cancellation would reach it. So each such read begins with a file_turn, which
// lets others run after 1 ms.
#pragma once

#include <heddle/core/record/budget.h>
#include <heddle/core/record/task_record.h>

#include <coroutine>
#include <source_location>

namespace heddle::detail {

class file_turn : private ready_await {
 public:
  [[nodiscard]] bool await_ready() noexcept { return go_on_fetching(); }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return stand_back(h, where, [this](task_record& t) { task_ = &t; });
  }
  /// Throws the cancellation of the task.
  void await_resume() const {
    if (task_ && task_->state().take_cancel()) throw_cancelled(*task_);
  }

 private:
  task_record* task_ = nullptr;
};

}  // namespace heddle::detail
