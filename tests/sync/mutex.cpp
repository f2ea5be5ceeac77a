// SPDX-License-Identifier: MIT
// LOCK of the conformance list.
#include "sync/support.h"

#include <heddle/sync/mutex.h>

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using namespace support;

class Mutex : public at_loops {};
HEDDLE_AT_LOOPS(Mutex);

h::task<> lock_note_unlock(h::mutex& m, std::string& log, char who) {
  const auto guard = co_await m.scoped_lock();
  log += who;
}

TEST_P(Mutex, ACancellationAfterTheHandOverPassesTheLockOn) {
  run([]() -> h::task<> {
    h::mutex m;
    std::string log;
    co_await m.lock();
    auto b = h::create_task(lock_note_unlock(m, log, 'b'));
    co_await until_waiting(b);
    auto c = h::create_task(lock_note_unlock(m, log, 'c'));
    co_await until_waiting(c);
    m.unlock();
    const bool took = b.cancel();
    co_await c;
    const auto how = co_await ending(b);
    // On one loop b has not run between the two; on several it may have been through already.
    EXPECT_EQ(how == "cancelled" ? "c" : "bc", log);
    EXPECT_TRUE(took || how == "value");
    EXPECT_FALSE(m.locked());
  });
}

TEST_P(Mutex, ItMayLiveInTheFrameOfTheTaskThatGetsItLast) {
  run([]() -> h::task<> {
    for (int i = 0; i < 300; ++i) {
      h::mutex m;
      co_await m.lock();
      auto other = [](h::mutex& mm) -> h::task<> {
        mm.unlock();
        co_return;
      };
      auto t = h::create_task(other(m));
      co_await m.lock();  // handed over by the other, which may not have left unlock() yet
      m.unlock();
    }
  });
}

TEST(MutexGuard, MovingAGuardMovesTheDutyToUnlock) {
  using guard = h::mutex::guard;
  static_assert(!std::is_copy_constructible_v<guard> && !std::is_copy_assignable_v<guard>);
  h::mutex a, b;
  ASSERT_TRUE(a.try_lock());
  ASSERT_TRUE(b.try_lock());
  guard ga(a), gb(b);
  ga = std::move(gb);
  EXPECT_FALSE(a.locked()) << "assigning unlocks what was held";
  EXPECT_TRUE(b.locked());
  EXPECT_FALSE(gb.owns_lock());
  guard* self = &ga;
  ga = std::move(*self);
  EXPECT_TRUE(b.locked());
  ga.unlock();
  EXPECT_FALSE(b.locked());
}

}  // namespace
