// SPDX-License-Identifier: MIT
// SEM of the conformance list.
#include "sync/support.h"

#include <heddle/sync/semaphore.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

namespace {

using namespace support;

class Semaphore : public at_loops {};
HEDDLE_AT_LOOPS(Semaphore);

h::task<> take_into(h::semaphore& s, std::atomic<int>& count) {
  co_await s.acquire();
  ++count;
}

TEST_P(Semaphore, AReleaseOfSeveralServesAsManyAsWait) {
  run([]() -> h::task<> {
    h::semaphore s(0);
    std::atomic<int> through{0};
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 3; ++i) all.push_back(h::create_task(take_into(s, through)));
    for (auto& t : all) co_await until_waiting(t);
    s.release(5);
    for (auto& t : all) co_await t;
    EXPECT_EQ(s.value(), 2);
  });
}

TEST_P(Semaphore, APermitReturnsAtTheEndOfItsScope) {
  run([]() -> h::task<> {
    h::semaphore s(1);
    {
      const auto permit = co_await s.scoped_acquire();
      EXPECT_TRUE(s.locked());
    }
    EXPECT_FALSE(s.locked());
  });
}

}  // namespace
