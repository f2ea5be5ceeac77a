// SPDX-License-Identifier: MIT
// How a runtime is set up, and what it reports.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/clock.h>
#include <heddle/core/future.h>
#include <heddle/sched/any_task.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/loop/driver.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <string>
#include <vector>

namespace heddle {

struct task_options;

/// What an exception handler is told. The order of the fields is API: fields are appended, never
/// reordered.
struct error_context {
  std::string message;            // what happened, for people
  std::exception_ptr error = {};  // may be null
  std::string task = {};          // the name of the task, if it was one
  class loop* loop = nullptr;     // where it happened; never null in a handler's call
  any_task origin = {};           // the task, if it was one; it may have ended
  any_future future = {};         // the future, if it was one
  callback_handle callback = {};  // the callback, if it was one
  std::source_location made =
      {};  // where the task was created, if that is known; line 0: it is not
  std::optional<duration> took = {};  // how long a step or callback took that was too slow
};

/// Settings of a runtime. The order of the fields is API: fields are appended, never reordered.
struct options {
  /// How many loops (threads); 0: as many as processors this process may use (affinity mask and
  /// cgroup quota included). At most 256.
  unsigned loops = 0;
  /// epoll, io_uring or the better of what the kernel allows. An explicit choice beats
  /// HEDDLE_REACTOR, which beats `automatic`.
  reactor_kind reactor = reactor_kind::automatic;
  /// Slow: warns of steps that take longer than `slow_callback`, of what was left open, and of
  /// coroutines that were made on a loop and destroyed without being awaited: once, with where the
  /// coroutine stands (error_context.made). Not set: HEDDLE_DEBUG=1 turns it on. runtime::set_debug
  /// changes it later.
  std::optional<bool> debug = {};
  /// Called for every error that nobody else can get, one call at a time, in the thread that
  /// reports it. What is reported during a call, by another thread or by the handler, is told after
  /// it, in the thread of that call. It may call anything but close(). Default: a line on stderr.
  std::function<void(const error_context&)> exception_handler = {};
  /// At most so many threads for to_thread; 0: 5 more than processors, at most 32 (asyncio's rule).
  unsigned threads = 0;
  /// Decides whom to steal from; the same seed makes the same choices. 0: a fixed one.
  std::uint64_t seed = 0;
  /// In debug mode a step of a task, or a callback, that takes longer is reported.
  any_duration slow_callback = std::chrono::milliseconds(100);
  /// Called for every task before it is made, with the options it was asked for (name, context,
  /// loop, eager): it may look at them, change them (`o.eager = true` is asyncio's
  /// eager_task_factory), or throw, which refuses the task. Runs in the thread that makes the task,
  /// on several at once. In the main task of `run` and in what `submit` starts nobody is there to
  /// run the first step: `eager` is ignored.
  std::function<void(task_options&)> task_factory = {};
};

struct runtime_stats {
  std::vector<loop_stats> loops;
  std::uint64_t tasks = 0;  // created and not ended
  std::string reactor;      // "epoll" or "io_uring"
};

}  // namespace heddle
