// SPDX-License-Identifier: MIT
// The command line of cluster_render.
#pragma once

#include "settings.h"

#include <string>
#include <string_view>

namespace cluster_render {

extern const char* const help;

/// Throws heddle::bad_value that names the option.
[[nodiscard]] settings read_arguments(int count, char** words);

/// What the demonstration starts its workers with: --serve URL NAME SLOTS RUN_LOG.
struct worker_arguments {
  std::string url;
  std::string name;
  unsigned slots = 1;
  std::string run_log;
};
[[nodiscard]] bool is_worker(int count, char** words);
[[nodiscard]] worker_arguments read_worker_arguments(char** words);

}  // namespace cluster_render
