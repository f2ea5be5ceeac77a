// SPDX-License-Identifier: MIT
// What a job is like, and what is counted: plain values.
//
//   const h::cluster::job<int(int)> careful{"careful", {.attempts = 1, .time_limit = 10min}};
#pragma once

#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/sched/duration_histogram.h>

#include <cstdint>
#include <string>

namespace heddle::cluster {

/// How a job that throws is tried again.
struct retry_options {
  /// So many times after the first.
  unsigned times = 0;
  /// The pause before the first of them; each later one is `factor` times as long.
  any_duration delay = std::chrono::seconds(1);
  double factor = 2;
};

/// What a job is like, for those that submit it and those that run it. The order of the fields is
/// API: fields are appended, never reordered.
struct job_options {
  /// A job's kind is its name and version. Change the version with the meaning of the arguments.
  unsigned version = 1;
  /// Workers serve queues by name: letters, digits, '-', '_'.
  std::string queue = "default";
  /// So many workers may die with it before it is job_lost. At least 1.
  unsigned attempts = 3;
  /// For jobs that throw. By default what a job throws is its outcome.
  retry_options retry = {};
  /// A run that takes longer is cancelled, and the outcome is timeout_error. Zero: no limit.
  any_duration time_limit = duration::zero();
};

/// What a client and the workers of its process have counted.
struct statistics {
  std::uint64_t submitted = 0;  // accepted
  /// Calls whose jobs the server had lost, and that were submitted once more.
  std::uint64_t submitted_again = 0;
  // Outcomes that came to this process, by kind.
  std::uint64_t values = 0;
  std::uint64_t failed = 0;
  std::uint64_t lost = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t refused = 0;  // bad_arguments, too_large, no_such_job
  // By the workers of this process.
  std::uint64_t started = 0;      // runs that began
  std::uint64_t redelivered = 0;  // of these, those that were not the first
  std::uint64_t skipped = 0;      // deliveries whose outcome was there already
  std::uint64_t dropped = 0;      // results that came after another outcome
  std::uint64_t given_back = 0;   // deliveries given back unstarted
  std::uint64_t dead = 0;         // dead letters written
  std::uint64_t connects = 0;     // logins that succeeded
  /// From the submit to the outcome, of calls.
  duration_histogram round_trip = {};
};

enum class job_status : std::uint8_t { unknown, queued, running, done };

}  // namespace heddle::cluster
