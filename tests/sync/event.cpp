// SPDX-License-Identifier: MIT
// EVT of the conformance list, and latch.
#include "sync/support.h"

#include <heddle/sync/event.h>
#include <heddle/sync/latch.h>

#include <atomic>
#include <string>
#include <vector>

namespace {

using namespace support;

class Event : public at_loops {};
HEDDLE_AT_LOOPS(Event);

h::task<> wait_and_note(h::event& e, std::atomic<int>& order, int& mine) {
  EXPECT_TRUE(co_await e.wait());
  mine = ++order;
}

TEST_P(Event, SetAndClearAtOnceStillLetsThoseGoWhoWaited) {
  run([]() -> h::task<> {
    h::event e;
    std::atomic<int> order{0};
    int place = 0;
    auto t = h::create_task(wait_and_note(e, order, place));
    co_await until_waiting(t);
    e.set();
    e.clear();
    co_await t;
    EXPECT_EQ(order, 1);
  });
}

TEST_P(Event, ItMayLiveInTheFrameOfTheTaskItLetsGo) {
  run([]() -> h::task<> {
    for (int i = 0; i < 1'000; ++i) {
      h::event e;
      auto setter = [](h::event& ee) -> h::task<> {
        ee.set();
        co_return;
      };
      h::create_task(setter(e));
      co_await e.wait();
    }
  });
}

class Latch : public at_loops {};
HEDDLE_AT_LOOPS(Latch);

TEST_P(Latch, TheLastCountOpensItForAllAndForGood) {
  run([]() -> h::task<> {
    h::latch l(3);
    std::atomic<int> through{0};
    auto body = [](h::latch& ll, std::atomic<int>& n) -> h::task<> {
      co_await ll.wait();
      ++n;
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 4; ++i) all.push_back(h::create_task(body(l, through)));
    for (auto& t : all) co_await until_waiting(t);
    l.count_down(2);
    EXPECT_FALSE(l.try_wait());
    co_await settle();
    EXPECT_EQ(through, 0);
    co_await l.arrive_and_wait();
    for (auto& t : all) co_await t;
    EXPECT_TRUE(l.try_wait());
    co_await l.wait();
  });
}

TEST(LatchValues, CountsBelowZeroAreBadValues) {
  EXPECT_THROW(h::latch(-1), h::bad_value);
  h::latch l(1);
  EXPECT_THROW(l.count_down(2), h::bad_value);
  EXPECT_THROW(l.count_down(-1), h::bad_value);
  l.count_down(0);
  EXPECT_FALSE(l.try_wait());
  l.count_down();
  EXPECT_TRUE(l.try_wait());
  h::latch open(0);
  EXPECT_TRUE(open.try_wait());
}

TEST_P(Latch, ACancelledWaiterLeavesAndTheCountIsAsItWas) {
  run([]() -> h::task<> {
    h::latch l(1);
    auto body = [](h::latch& ll) -> h::task<> { co_await ll.wait(); };
    auto t = h::create_task(body(l));
    co_await until_waiting(t);
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    l.count_down();
    EXPECT_TRUE(l.try_wait());
  });
}

TEST_P(Latch, ItMayLiveInTheFrameOfTheTaskItLetsGo) {
  run([]() -> h::task<> {
    auto count = [](h::latch& l) -> h::task<> {
      l.count_down();
      co_return;
    };
    for (int i = 0; i < 500; ++i) {
      h::latch l(3);
      for (int k = 0; k < 3; ++k) h::create_task(count(l));
      co_await l.wait();
    }
  });
}

}  // namespace
