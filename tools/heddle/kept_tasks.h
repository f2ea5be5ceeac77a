// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: tasks that have ended and whose handles are kept.
#pragma once

#include "target.h"

#include <cstdint>
#include <map>
#include <string>

namespace tool {

struct kept_at {
  std::uint64_t count = 0;
  std::uint64_t unasked = 0;  // ended by an error that nobody has asked for
};

/// By the place where they were made. What cannot be read is left out.
std::map<std::string, kept_at> kept_tasks(target& of);

}  // namespace tool
