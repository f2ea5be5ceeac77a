// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sync/event.h>

#include <atomic>
#include <string>
#include <vector>

namespace {

using namespace conformance;

CASES(EVT);

h::task<> wait_and_note(h::event& e, std::atomic<int>& order, int& mine) {
  HOLDS(co_await e.wait());
  mine = ++order;
}

TEST_P(EVT, EVT_01_SetLetsAllGoInTheOrderOfTheirWaiting) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::event e;
    std::atomic<int> order{0};
    int place[4] = {};
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 3; ++i) {
      all.push_back(h::create_task(wait_and_note(e, order, place[i])));
      co_await until_waiting(all.back());
    }
    all.push_back(h::create_task(wait_and_note(e, order, place[3])));  // has not started
    HOLDS(!e.is_set());
    e.set();
    for (auto& t : all) co_await t;
    EQUAL(order, 4);
    if (strict) {
      // The late one stood in the queue of the loop before the others were put there, and did not
      // wait at all.
      EQUAL(place[3], 1);
      for (int i = 0; i < 3; ++i) EQUAL(place[i], i + 2);
    }
  });
}

TEST_P(EVT, EVT_02_WaitingForASetEventDoesNotSuspend) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::event e;
    bool others_ran = false;
    auto other = h::create_task(
        [](bool& ran) -> h::task<> {
          ran = true;
          co_return;
        },
        std::ref(others_ran));
    e.set();
    HOLDS(co_await e.wait());
    if (strict) HOLDS(!others_ran);
    co_await other;
    e.clear();
    HOLDS(!e.is_set());
  });
}

TEST_P(EVT, EVT_04_ACancelledWaiterLeavesAndTheEventIsAsItWas) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::event e;
    std::atomic<int> order{0};
    int place = 0;
    auto t = h::create_task(wait_and_note(e, order, place));
    co_await until_waiting(t);
    t.cancel();
    EQUAL(co_await ending(t), "Cancelled");
    HOLDS(!e.is_set());
    e.set();  // meets no entry of the dead one
    e.clear();

    auto u = h::create_task(wait_and_note(e, order, place));
    co_await until_waiting(u);
    e.set();
    const bool took = u.cancel();
    const auto how = co_await ending(u);
    if (strict) HOLDS(took);
    HOLDS(how == "Cancelled" || how == "value");
    if (took) EQUAL(how, "Cancelled");
    HOLDS(e.is_set());
    EQUAL(order, how == "value" ? 1 : order.load());
  });
}

// Rounds by the thousand beside each other: the setter and the waiters go through them as fast as
// they can, and meet somewhere.
TEST_P(EVT, EVT_05_NobodySleepsOnASetEvent) {
  run([]() -> h::task<> {
    constexpr std::size_t block = 10'000;
    auto waiter = [](std::vector<h::event>& all) -> h::task<> {
      for (auto& e : all) co_await e.wait();
    };
    auto setter = [](std::vector<h::event>& all) -> h::task<> {
      int n = 0;
      for (auto& e : all) {
        e.set();
        if (++n % 64 == 0) co_await h::yield_now();
      }
    };
    std::size_t met = 0;
    for (int i = 0; i < rounds(100); ++i) {
      std::vector<h::event> all(block);
      std::vector<h::task_handle<void>> tasks;
      for (int k = 0; k < 3; ++k) {
        tasks.push_back(h::create_task(waiter(all)));
        if (k == 1) tasks.push_back(h::create_task(setter(all)));
      }
      for (auto& t : tasks) co_await t;
      for (auto& e : all) met += e.is_set() ? 1u : 0u;
    }
    EQUAL(met, block * static_cast<std::size_t>(rounds(100)));
  });
}

}  // namespace
