// SPDX-License-Identifier: MIT
// BAR of the conformance list.
#include "sync/support.h"

#include <heddle/sync/barrier.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace {

using namespace support;

class Barrier : public at_loops {};
HEDDLE_AT_LOOPS(Barrier);

TEST_P(Barrier, EveryRoundIsCompleteUnderRandomCancellations) {
  const auto seed = test_seed();
  SCOPED_TRACE("HEDDLE_TEST_SEED=" + std::to_string(seed));
  run([seed]() -> h::task<> {
    constexpr int parties = 4;
    h::barrier b(parties);
    std::atomic<int> passed{0}, cancelled{0}, started{0}, running{12};
    auto body = [](h::barrier& bb, std::atomic<int>& ok, std::atomic<int>& no,
                   std::atomic<int>& begun, std::atomic<int>& left) -> h::task<> {
      ++begun;
      for (int i = 0; i < 60; ++i) {
        try {
          (void)co_await bb.wait();
          ++ok;
        } catch (const h::cancelled_error&) { ++no; }
      }
      --left;
    };
    std::mt19937_64 random(seed);
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 12; ++i)
      all.push_back(h::create_task(body(b, passed, cancelled, started, running)));
    co_await until([&] { return started == 12; });
    while (running > 0) {  // the last ones lack partners: only cancellations let them end
      all[random() % all.size()].cancel();
      co_await h::yield_now();
    }
    for (auto& t : all) (void)co_await ending(t);
    EXPECT_EQ(passed + cancelled, 12 * 60);
    EXPECT_EQ(b.n_waiting(), 0u);
  });
}

}  // namespace
