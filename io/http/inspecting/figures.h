// SPDX-License-Identifier: MIT
// Internal to io.
// The figures of this process as text: for Prometheus, and as JSON for the inspector's page.
#pragma once

#include <heddle/io/http/server_stats.h>
#include <heddle/sched/metrics.h>

#include <string>
#include <vector>

namespace heddle::http::detail {

/// All that is told, of one moment.
struct figures {
  process_metrics process = {};
  std::vector<metrics> runtimes = {};
  server_stats servers = {};
};

/// Of this process, now. Not for a loop: it counts the open descriptors. Throws std::bad_alloc.
[[nodiscard]] figures measure_all();
/// As Prometheus reads it. No label holds what a user of the program can choose.
[[nodiscard]] std::string as_prometheus(const figures& all);
[[nodiscard]] std::string as_json(const figures& all);

}  // namespace heddle::http::detail
