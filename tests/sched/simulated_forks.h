// SPDX-License-Identifier: MIT
// What the simulated tests of forks and scopes share. A wait for a thousand hours is over as soon
// as nothing else is to be done, and is seen as such.
#pragma once

#include "support/simulated.h"

#include <heddle/sched/fork_join.h>
#include <heddle/sched/sleep.h>

#include <atomic>
#include <chrono>

namespace simulated_forks {

namespace h = heddle;
namespace t = heddle::testing;
using namespace std::chrono_literals;
using simulated::require;

inline constexpr std::uint64_t some = 40;

/// Runs `main` at 1, 2 and 8 loops with some seeds each; it has to end within `limit` of virtual
/// time.
template <class Main>
void at_all_loops(h::duration limit, Main main) {
  for (const unsigned loops : {1u, 2u, 8u}) {
    h::options o;
    o.loops = loops;
    for (std::uint64_t seed = 1; seed <= simulated::seeds(some); ++seed) {
      const auto report = t::simulate(seed, o, main);
      ASSERT_LT(report.elapsed, limit) << loops << " loops, seed " << seed;
    }
  }
}

struct tally {
  std::atomic<int> begun{0};
  std::atomic<int> told{0};
  std::atomic<int> told_again{0};
};

/// Waits for ever, and then cleans up, which is a wait too: one cancellation must end the first
/// wait alone.
inline h::task<> sleeper(tally& n) {
  ++n.begun;
  try {
    co_await h::sleep(1000h);
  } catch (const h::cancelled_error&) { ++n.told; }
  try {
    co_await h::sleep(1ms);
  } catch (const h::cancelled_error&) { ++n.told_again; }
  throw h::cancelled_error();
}

inline h::task<> nothing() { co_return; }
inline h::task<int> one() { co_return 1; }

}  // namespace simulated_forks
