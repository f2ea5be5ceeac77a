// SPDX-License-Identifier: MIT
// The budget: a task that never really waits stands back, when its loop is one of several.
#include "sync/support.h"

#include <heddle/core/future.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/wait_many.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>

#include <atomic>
#include <chrono>
#include <vector>

namespace {

using namespace support;

class Budget : public at_loops {
 protected:
  /// One task goes on until another, pinned to the same loop, has raised the flag: it must stand
  /// back for that.
  template <class F>
  void gives_way(F spin) {
    auto main = [](F body) -> h::task<> {
      std::atomic<bool> flag{false};
      auto& here = h::current_loop();
      auto raise = [](std::atomic<bool>& f) -> h::task<> {
        f = true;
        co_return;
      };
      h::task_options pinned;
      pinned.loop = &here;
      auto spinner = h::create_task(pinned, body, std::ref(flag));
      auto raiser = h::create_task(raise(flag), pinned);
      co_await raiser;
      co_await spinner;
    };
    run(main(spin));
  }
};
HEDDLE_AT_THESE_LOOPS(Budget, 2u, 8u);  // with one loop no ready await stands back

TEST_P(Budget, ATaskThatOnlyFindsAMutexFreeGivesWay) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    h::mutex m;
    while (!raised) {
      co_await m.lock();
      m.unlock();
    }
  });
}

TEST_P(Budget, ATaskThatOnlyFindsPermitsFreeGivesWay) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    h::semaphore s(1);
    while (!raised) {
      co_await s.acquire();
      s.release();
    }
  });
}

TEST_P(Budget, ATaskThatOnlyFindsAQueueReadyGivesWay) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    h::queue<int> q;
    for (int i = 0; !raised; ++i) {
      co_await q.put(i);
      EXPECT_EQ(co_await q.get(), i);
    }
  });
}

TEST_P(Budget, ATaskThatOnlyAwaitsWhatIsDoneGivesWay) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    h::event e;
    e.set();
    h::promise<int> p;
    auto f = p.get_future();
    p.set_value(1);
    while (!raised) {
      co_await e.wait();
      EXPECT_EQ(co_await f, 1);
    }
  });
}

/// Cancels itself and repeats `once` until that is thrown. Gives way: another task runs first.
template <class F>
auto until_cancelled(F once) {
  return [once](std::atomic<bool>& raised) -> h::task<> {
    auto self = h::current_task();
    self.cancel();
    bool cancelled = false;
    try {
      for (;;) {
        auto step = once();
        co_await std::move(step);
      }
    } catch (const h::cancelled_error&) { cancelled = true; }
    EXPECT_TRUE(cancelled);
    EXPECT_EQ(self.uncancel(), 0u);
    co_await until([&] { return raised.load(); });
  };
}

TEST_P(Budget, StandingBackThrowsACancellationThatIsDueAndTheMutexIsFree) {
  h::mutex m;
  gives_way(until_cancelled([&]() -> h::task<> {
    co_await m.lock();
    m.unlock();
  }));
  EXPECT_FALSE(m.locked());
}

TEST_P(Budget, StandingBackThrowsACancellationAndTheLockGoesToWhoWaits) {
  h::mutex m;
  gives_way([&](std::atomic<bool>& raised) -> h::task<> {
    auto next = h::create_task(
        [](h::mutex& lock) -> h::task<> { auto mine = co_await lock.scoped_lock(); }, std::ref(m));
    auto cancelled = until_cancelled([&]() -> h::task<> {
      co_await m.lock();
      m.unlock();
    });
    co_await cancelled(raised);
    co_await next;
  });
  EXPECT_FALSE(m.locked());
}

TEST_P(Budget, StandingBackThrowsACancellationAndThePermitIsBack) {
  h::semaphore s(1);
  gives_way(until_cancelled([&]() -> h::task<> {
    co_await s.acquire();
    s.release();
  }));
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
}

TEST_P(Budget, StandingBackThrowsACancellationAndNoLockOfASharedMutexIsKept) {
  h::shared_mutex m;
  gives_way(until_cancelled([&]() -> h::task<> {
    co_await m.lock();
    m.unlock();
    co_await m.lock_shared();
    m.unlock_shared();
  }));
  EXPECT_TRUE(m.try_lock());
}

TEST_P(Budget, StandingBackThrowsACancellationAndTheItemsAreInTheQueue) {
  h::queue<int> q;
  int got = 0;
  int put = 0;
  gives_way(until_cancelled([&]() -> h::task<> {
    if (put == got) {
      co_await q.put(put);
      ++put;
    } else {
      EXPECT_EQ(co_await q.get(), got);
      ++got;
    }
  }));
  EXPECT_EQ(q.size(), static_cast<std::size_t>(put - got));
}

TEST_P(Budget, StandingBackThrowsACancellationAndAFutureKeepsItsResult) {
  h::promise<int> p;
  auto f = p.get_future();
  p.set_value(7);
  gives_way(until_cancelled([&]() -> h::task<> { EXPECT_EQ(co_await f, 7); }));
  EXPECT_EQ(f.result(), 7);
}

TEST_P(Budget, StandingBackThrowsACancellationAndATaskKeepsItsResult) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    auto ended = h::create_task([]() -> h::task<int> { co_return 7; });
    co_await ended;
    auto cancelled = until_cancelled([&]() -> h::task<> { EXPECT_EQ(co_await ended, 7); });
    co_await cancelled(raised);
    EXPECT_EQ(ended.result(), 7);
  });
}

TEST_P(Budget, StandingBackThrowsACancellationAndAShieldKeepsItsResult) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    auto inner = h::create_task([]() -> h::task<int> { co_return 7; });
    co_await inner;
    auto outer = h::shield(inner);
    auto cancelled = until_cancelled([&]() -> h::task<> { EXPECT_EQ(co_await outer, 7); });
    co_await cancelled(raised);
    EXPECT_EQ(co_await outer, 7);
  });
}

TEST_P(Budget, StandingBackThrowsACancellationAndEachMemberComesOutOnce) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    constexpr int count = 50'000;
    std::vector<h::future<int>> members;
    for (int i = 0; i < count; ++i) {
      h::promise<int> p;
      members.push_back(p.get_future());
      p.set_value(i);
    }
    int seen = 0;
    auto all = h::as_completed(members);
    auto self = h::current_task();
    for (bool more = true; more;) {
      self.cancel();
      try {
        for (;;) {
          auto next = co_await all.next();
          if (!next) {
            more = false;
            break;
          }
          EXPECT_EQ(next->result(), seen);
          ++seen;
        }
      } catch (const h::cancelled_error&) {}
      (void)self.uncancel();
    }
    EXPECT_EQ(seen, count);
    co_await until([&] { return raised.load(); });
  });
}

TEST_P(Budget, StandingBackThrowsACancellationInAWaitForWhatIsDone) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    std::vector<h::task_handle<>> members;
    members.push_back(h::create_task([]() -> h::task<> { co_return; }));
    co_await members[0];
    auto cancelled = until_cancelled([&]() -> h::task<> {
      auto both = co_await h::wait(members);
      EXPECT_EQ(both.done.size(), 1u);
    });
    co_await cancelled(raised);
  });
}

TEST_P(Budget, ATimeOutEndsALoopThatOnlyFindsItsQueueReady) {
  auto main = []() -> h::task<> {
    h::queue<int> q;
    auto busy = [](h::queue<int>& queue) -> h::task<> {
      for (;;) {
        co_await queue.put(1);
        (void)co_await queue.get();
      }
    };
    bool late = false;
    auto limited = h::wait_for(busy(q), std::chrono::milliseconds(20));
    try {
      co_await std::move(limited);
    } catch (const h::timeout_error&) { late = true; }
    EXPECT_TRUE(late);
  };
  run(main());
}

}  // namespace
