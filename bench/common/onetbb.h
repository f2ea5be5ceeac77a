// SPDX-License-Identifier: MIT
//
// Runs a problem on exactly as many oneTBB threads as were asked for.
#pragma once

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include "common/program.h"

namespace bench {

/// An arena of so many slots, the caller's thread among them.
class onetbb_threads {
 public:
  explicit onetbb_threads(unsigned count)
      : limit_(oneapi::tbb::global_control::max_allowed_parallelism, count),
        arena_(static_cast<int>(count)) {}

  template <class Solve>
  auto execute(Solve&& solve) {
    return arena_.execute(std::forward<Solve>(solve));
  }

 private:
  oneapi::tbb::global_control
      limit_;  // without it, no more threads than processors come, whatever the arena's size
  oneapi::tbb::task_arena arena_;
};

template <class Solve>
int run_all_on_onetbb(identity who, const settings& with, long expected, Solve solve) {
  onetbb_threads threads(with.threads);
  return run_all(who, with, expected, [&] { return threads.execute(solve); });
}

}  // namespace bench
