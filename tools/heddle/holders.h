// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: who else than a task could end what tasks wait for.
#pragma once

#include "core_file.h"
#include "mentions.h"

#include <heddle/core/seeing/sight.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tool {

enum class holder : unsigned char { nobody, a_static, a_stack, a_block };
struct held {
  holder by = holder::nobody;
  std::uint64_t at = 0;  // where the pointer stands
  std::string where;     // "chatd", "the stack of thread 4713", "a job on thread 4720"
};

/// Looks through all memory that the process may write for pointers to `futures`. Of each future
/// the most certain place: a static, a stack, or a block of the heap that something else points at.
/// `own`: sorted ranges that do not count: the frames of the tasks that wait. False: there is more
/// memory than is worth it (2 GiB), or it could not be read. `core`: nullptr, if it is a process.
bool find_holders(seeing::sight& from, const core_file* core,
                  const std::vector<std::uint64_t>& futures, const ranges& own,
                  std::vector<held>& to);

}  // namespace tool
