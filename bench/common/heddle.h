// SPDX-License-Identifier: MIT
//
// Runs a problem on exactly as many heddle loops as were asked for.
#pragma once

#include <heddle/heddle.h>

#include "common/program.h"

namespace bench {

/// All runs happen in one runtime: loops start once, as the peers' threads do.
template <class Solve>
heddle::task<> run_all_in_loop(report& out, int repeat, long expected, Solve solve) {
  for (int i = 0; i < repeat; ++i) {
    out.begin();
    const long result = co_await solve();
    out.end();
    out.print(result, expected);
  }
}

/// `solve()` makes the task to run; it is called once a run and must not capture by reference what
/// ends before it.
template <class Solve>
int run_all_on_heddle(identity who, const settings& with, long expected, Solve solve) {
  report out(who, with);
  heddle::run(run_all_in_loop(out, with.repeat, expected, solve), {.loops = with.threads});
  return out.status();
}

}  // namespace bench
