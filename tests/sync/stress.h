// SPDX-License-Identifier: MIT
// Conservation under random cancellations: what goes in comes out or is left, no task is let in
// twice, no task hangs. Every check is also run on a primitive with a planted fault, which it must
// notice.
#pragma once

#include "sync/support.h"

#include <heddle/sync/waiting/operation.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace stress {

using namespace support;
using h::detail::operation;
using h::detail::schedule;
using h::detail::task_record;
using h::detail::wait_queue;
using h::detail::waiter;
using h::detail::work_list;

/// What a check found wrong; empty: nothing.
using verdict = std::string;

/// How long the tasks may stand still before a check says that they hang: long for what must not,
/// short for what is known to be faulty.
inline constexpr auto forever = 60s;
inline constexpr auto soon = 100ms;

/// Waits until `all` have ended, cancelling at random while `cancels` last. False: no progress for
/// `patience`; then they are told to stop and cancelled until they end.
inline h::task<bool> all_end(std::vector<h::task_handle<void>>& all, std::atomic<long>& progress,
                             std::atomic<bool>& stop, int cancels, std::uint64_t seed,
                             h::duration patience) {
  std::mt19937_64 random(seed);
  const auto ended = [&] {
    for (auto& t : all)
      if (!t.done()) return false;
    return true;
  };
  long seen = -1;
  auto since = h::clock::now();
  bool in_time = true;
  while (!ended()) {
    if (cancels > 0 || !in_time) {
      --cancels;
      all[random() % all.size()].cancel();
    }
    if (progress != seen) {
      seen = progress;
      since = h::clock::now();
    } else if (h::clock::now() - since > patience) {
      in_time = false;
      stop = true;
    }
    co_await h::yield_now();
  }
  co_return in_time;
}

/// Yields, whatever cancellation comes.
inline h::task<> stay() {
  try {
    co_await h::yield_now();
  } catch (const h::cancelled_error&) {}
}

/// Base of the suites.
class conserves : public at_loops {
 protected:
  template <class Check>
  verdict run_check(Check check, std::uint64_t seed, h::duration patience) {
    return h::run(check(seed, patience), with());
  }
  template <class Check>
  void holds(Check check) {
    const auto first = test_seed();
    for (std::uint64_t seed = first; seed < first + 5; ++seed)
      EXPECT_EQ(run_check(check, seed, forever), "") << "HEDDLE_TEST_SEED=" << seed;
  }
  template <class Check>
  void is_noticed(Check check) {
    for (std::uint64_t seed = 1; seed <= 1'000; ++seed)
      if (!run_check(check, seed, soon).empty()) return;
    ADD_FAILURE() << "the planted fault was not noticed";
  }
};

}  // namespace stress
