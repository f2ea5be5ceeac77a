// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sync/mutex.h>

namespace {

using namespace conformance;

CASES(LOCK);

TEST_P(LOCK, LOCK_01_AFreeOneIsTakenAtOnce) {
  run([]() -> h::task<> {
    h::mutex m;
    bool others_ran = false;
    auto other = h::create_task([](bool& ran) -> h::task<> { ran = true; co_return; }, std::ref(others_ran));
    HOLDS(!m.locked());
    co_await m.lock();
    HOLDS(m.locked());
    if (one_loop()) HOLDS(!others_ran);
    co_await other;
    m.unlock();
    HOLDS(!m.locked());
  });
}

TEST_P(LOCK, LOCK_03_ReleasingAFreeOneIsAnError) {
  run([]() -> h::task<> {
    h::mutex m;
    THROWS(h::usage_error, m.unlock());
    HOLDS(!m.locked());
    co_return;
  });
}

TEST_P(LOCK, LOCK_05_ACancelledWaiterLeavesTheQueue) {
  run([]() -> h::task<> {
    h::mutex m;
    co_await m.lock();
    auto t = h::create_task([](h::mutex& m) -> h::task<> { co_await m.lock(); }, std::ref(m));
    co_await until_waiting(t);
    t.cancel();
    EQUAL(co_await ending(t), "Cancelled");
    HOLDS(m.locked());
    m.unlock();
    HOLDS(m.try_lock());
    m.unlock();
  });
}

}  // namespace
