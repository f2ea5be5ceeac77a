// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the frames of one task, with their addresses.
#pragma once

#include <heddle/core/seeing/sight.h>

#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;
using seeing::address;

struct frame {
  address at = 0;
  address resume = 0;  // the function that resumes it
  address place = 0;   // of the co_await in which it waits; 0: not known
};

/// The frames from the one at `innermost` to the root of the task or strand `record`. Empty: no
/// frame of it stands there. `where`: the place in which the innermost one waits. `runs`: it is
/// running, perhaps in a strand without a record.
std::vector<frame> chain_from(seeing::sight& from, address record, address innermost, bool runs,
                              address where = 0);

/// The frames of a task that runs on a thread, whose registers and the top of whose stack have
/// `words`. Of those that lead to a frame of the task the one with the longest way to the root is
/// the innermost. Empty: none does.
std::vector<frame> chain_among(seeing::sight& from, address record,
                               const std::vector<address>& words);

}  // namespace tool
