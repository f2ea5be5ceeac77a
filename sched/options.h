// SPDX-License-Identifier: MIT
// options: the settings of a runtime. error_context: what its exception handler gets. loop_stats
// and runtime_stats: what it has done.
//
//   h::options o;
//   o.loops = 2;
//   o.exception_handler = [](const h::error_context& what) { log(what.message); };
//   const auto page = h::run(fetch("a"), o);
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

/// What an exception handler gets. The order of the fields is API: fields are appended, never
/// reordered.
struct error_context {
  std::string message;            // what happened, for people
  std::exception_ptr error = {};  // the error, or null
  std::string task = {};          // the name of the task that failed, or empty
  class loop* loop = nullptr;     // the loop on which it happened; never null in a handler's call
  any_task origin = {};           // the task, or empty; it may have ended
  any_future future = {};         // the future, or empty
  callback_handle callback = {};  // the callback, or empty
  // where the task was created; line 0: not known
  std::source_location made = {};
  std::optional<duration> took = {};  // for a slow step or callback: how long it took
};

/// What happens once nothing can happen any more: tasks wait for each other, all loops sleep, and
/// no timer, job, descriptor, signal handler or other thread is left to wake one.
enum class at_rest {
  report,   // a text on stderr that says what each task waits for; once in a process
  nothing,  // no look is made
  fails,    // run() throws testing::stuck_error with the same text
};

/// Settings of a runtime. The order of the fields is API: fields are appended, never reordered.
struct options {
  /// The number of loops (threads), at most 256. 0: as many as processors that this process may
  /// use, by affinity mask and cgroup quota.
  unsigned loops = 0;
  /// epoll, io_uring, or the better one that the kernel allows. An explicit choice goes before
  /// HEDDLE_REACTOR, and that before `automatic`.
  reactor_kind reactor = reactor_kind::automatic;
  /// Debug mode, which is slow. It warns of steps that take longer than `slow_callback`, and of
  /// what was left open. It also warns of coroutines that were made on a loop and destroyed
  /// without being awaited: once each, with the place of the coroutine (error_context.made). Not
  /// set: HEDDLE_DEBUG=1 turns it on. runtime::set_debug changes it later.
  std::optional<bool> debug = {};
  /// Called for every error that no other code can get, one call at a time, in the thread that
  /// reports the error. Errors that are reported during a call, by another thread or by the
  /// handler, follow after it in the thread of that call. The handler may call anything but
  /// close(). Default: a line on stderr.
  std::function<void(const error_context&)> exception_handler = {};
  /// At most so many threads for to_thread. 0: the number of processors and 5, at most 32
  /// (asyncio's rule).
  unsigned threads = 0;
  /// How far those threads give way to the loops where processors are short: what is added to their
  /// niceness (nice(2)), 0 to 19. With 10 a server that offloads computations has answered up to
  /// twice as many other requests, in half the time, and computed 5 to 20 % less (bench/TRIED.md).
  unsigned thread_niceness = 0;
  /// Seeds the choice of the loop to steal from. The same seed makes the same choices. 0: a fixed
  /// seed.
  std::uint64_t seed = 0;
  /// In debug mode a step of a task, or a callback, that takes longer than this is reported.
  any_duration slow_callback = std::chrono::milliseconds(100);
  /// Called for every task before it is made, with the options that were asked for (name, context,
  /// loop, eager). The factory may read them, change them, or throw, which refuses the task.
  /// `o.eager = true` makes it asyncio's eager_task_factory. It runs in the thread that makes the
  /// task, in several threads at once. For the main task of `run` and for tasks of `submit` `eager`
  /// is ignored, since there is no creating task whose loop could run the first step.
  std::function<void(task_options&)> task_factory = {};
  /// At most so many threads for calls that block on a disk: files, directories, and the files that
  /// an HTTP server sends. 0: 16. They are apart from those of to_thread and of names.
  unsigned file_threads = 0;
  /// A runtime that ends waits so long for calls that file threads have begun. When that time has
  /// passed, the threads that still wait for their disk are left to themselves, which is reported.
  /// 0 or less: they are not waited for.
  any_duration file_end_limit = std::chrono::seconds(5);
  /// A step of a task, or a callback, that keeps its loop for longer than this is a stall: it is
  /// reported while it lasts, with the functions that it is in. Counted is time that the step has
  /// computed, or has slept in system calls, and not time in which the process had no processor or
  /// was stopped. 0 or less: nothing is watched, and there is no thread for it. Not set:
  /// HEDDLE_STALL_LIMIT ("250ms", "2s", "0"), else 100 ms. runtime::set_stall_limit changes it.
  /// Cost: a thread of the process, which looks at the loops every 20 ms while they have work, and
  /// sleeps while they have none. `heddle stalls` lists what was reported.
  std::optional<any_duration> stall_limit = {};
  /// Called for each stall when it is noticed, and again when it is over (error_context.took), one
  /// call at a time, in the thread of the watch. It may call anything but close(), and makes no
  /// runtime. Default: lines on stderr, at most five a minute.
  std::function<void(const error_context&)> stall_handler = {};
  /// The signal by which a thread that computes is asked for its stack. It is taken from the
  /// program only where it has the default action or is ignored, and for as long as a runtime is
  /// watched. The kernel sends it to a running thread, so no system call is cut short by it. 0:
  /// none, and stalls that compute are reported without their functions. Not set: SIGURG.
  std::optional<int> stall_signal = {};
  /// A second after the last step, a loop that sleeps looks once whether all is at rest. A thread
  /// of the user's may do anything: then the text says "unless thread N does".
  at_rest when_at_rest = at_rest::report;
};

/// What the loops of a runtime did: runtime::stats().
struct runtime_stats {
  std::vector<loop_stats> loops;
  std::uint64_t tasks = 0;  // tasks that were created and have not ended
  std::string reactor;      // "epoll" or "io_uring"
};

}  // namespace heddle
