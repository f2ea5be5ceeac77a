// SPDX-License-Identifier: MIT
// Internal to sched.
// What nobody retrieves, on its way to the exception handler. Not a public header.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/record/context_slot.h>
#include <heddle/sched/options.h>
#include <heddle/sched/simulation/simulation.h>

#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace heddle::detail {

// Protocol REPORTS. The handler is called for one report at a time.
//
// Problem   A lock held over the call serialises the calls, but runs the user's code beneath it. A
//           handler that waits for another thread then waits for ever if that thread has something
//           to report.
// Chosen    A queue. A thread that reports while no call is under way calls the handler. Then it
//           calls the handler for what came meanwhile, until the queue is empty. Other threads put
//           their report into the queue and go on. So does the handler itself.
// Promised  Order: that of the reports. Each is told to the handler that was set, and in the
//           context that was current, when it was reported. No memory is taken for the queue unless
//           a call is under way. What cannot be queued for lack of memory becomes a line on stderr.
class report_queue {
 public:
  using handler = std::function<void(const error_context&)>;

  report_queue(simulation* s, handler h);
  /// The former handler may still be in a call, and gets what was reported before.
  void set_handler(handler h);
  /// Calls the handler now, unless it is in a call; then later, perhaps on another thread.
  void report(error_context what) noexcept;
  /// The calling thread is in a call of the handler.
  [[nodiscard]] bool is_telling_here() const noexcept;

 private:
  struct entry {
    error_context what;
    std::shared_ptr<const handler> told_to;
    context_map_ref context;
  };
  static void tell(const handler& to, const error_context& what) noexcept;
  [[nodiscard]] bool next(entry& e) noexcept;

  simulation* const simulated_;
  mutable std::mutex
      lock_;  // guards all below; the handler is never called, copied or destroyed under it
  std::shared_ptr<const handler> handler_;
  std::deque<entry> waiting_;
  bool telling_ = false;
  std::thread::id teller_;
};

/// What a report says, where nothing may throw. When memory is too short for `message` the report
/// says "out of memory", and has the error.
[[nodiscard]] error_context context_of(const char* message, std::exception_ptr error = {}) noexcept;

/// A line for people: where there is no handler.
void report_on_stderr(const error_context& what) noexcept;

}  // namespace heddle::detail
