// SPDX-License-Identifier: MIT
// How a runtime is set up, and what it reports.
#pragma once

#include <heddle/core/functional.h>
#include <heddle/sched/driver.h>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

namespace heddle {

/// What an exception handler is told.
struct error_context {
  std::string message;       // what happened, for people
  std::exception_ptr error;  // may be null
  std::string task;          // the name of the task, if it was one
};

/// Settings of a runtime. The order of the fields is API: fields are appended, never reordered.
struct options {
  /// How many loops (threads); 0: as many as processors this process may use (affinity mask and cgroup quota included). At most 256.
  unsigned loops = 0;
  /// epoll, io_uring or the better of what the kernel allows. An explicit choice beats HEDDLE_REACTOR, which beats `automatic`.
  reactor_kind reactor = reactor_kind::automatic;
  /// Slow: warns of steps over 100 ms and of misuse, remembers where tasks were made. Also HEDDLE_DEBUG=1, if this is not set.
  bool debug = false;
  /// Called for every error that nobody else can get, one call at a time, from the loop's thread. Default: a line on stderr.
  std::function<void(const error_context&)> exception_handler = {};
  /// At most so many threads for to_thread; 0: 5 more than processors, at most 32 (asyncio's rule).
  unsigned threads = 0;
  /// Decides whom to steal from; the same seed makes the same choices. 0: a fixed one.
  std::uint64_t seed = 0;
};

/// What one loop did since it was started. Each has one writer; a reader sees each whole, not all of one instant.
struct loop_stats {
  unsigned id = 0;
  std::uint64_t run = 0;        // steps of tasks and callbacks
  std::uint64_t stolen = 0;     // tasks and strands taken from other loops
  std::uint64_t parked = 0;     // times it went to sleep
  std::uint64_t woken = 0;      // times another thread woke it
  std::uint64_t polls = 0;      // looks at the reactor
  std::uint64_t io_events = 0;  // events found there
  std::uint64_t rescues = 0;    // looks at other loops' reactors and timers while they were hogged
  std::uint64_t created = 0;    // tasks made here
  std::uint64_t finished = 0;   // tasks ended here
  std::uint64_t busy_ns = 0;    // time not spent parked
  std::size_t queue = 0;        // tasks ready to run
  std::size_t forks = 0;        // strands ready to run
  std::size_t inbox = 0;        // 1 if something waits there
  std::size_t timers = 0;       // timers armed
};

struct runtime_stats {
  std::vector<loop_stats> loops;
  std::uint64_t tasks = 0;  // created and not ended
  std::string reactor;      // "epoll" or "io_uring"
};

}  // namespace heddle
