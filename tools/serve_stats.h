// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/io/http/server.h>
#include <heddle/io/tls_context.h>
#include <heddle/sched/options.h>

#include <deque>
#include <mutex>
#include <string>

namespace serve {

/// What GET /stats answers. Counters are totals since the start. Shares and percentiles are of the
/// time since the latest look that is at least 400 ms old. If there is none, since the start.
/// Thread-safety  any number of tasks on any loops
class stats_report {
 public:
  stats_report() : started_(heddle::clock::now()) {}

  /// One JSON object. It has "tls" unless the context is empty.
  std::string json(const heddle::runtime_stats& loops, const heddle::http::server_stats& server,
                   const heddle::tls_context& tls);

 private:
  struct look {
    heddle::time_point at;
    std::vector<std::uint64_t> busy_ns;  // by loop
    heddle::http::latency_histogram latency;
  };

  const heddle::time_point started_;
  std::mutex mutex_;
  std::deque<look> looks_;  // oldest first
};

}  // namespace serve
