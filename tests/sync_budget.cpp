// SPDX-License-Identifier: MIT
// The budget: a task that never really waits stands back, when its loop is one of several.
#include "sync_support.h"

#include <heddle/core/future.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>

#include <atomic>

namespace {

using namespace support;

class Budget : public testing::TestWithParam<unsigned> {
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
    h::run(main(spin), {.loops = GetParam()});
  }
};
INSTANTIATE_TEST_SUITE_P(Loops, Budget, testing::Values(2u, 8u));

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

TEST_P(Budget, StandingBackIsNoCancellationPoint) {
  gives_way([](std::atomic<bool>& raised) -> h::task<> {
    h::mutex m;
    auto self = h::current_task();
    self.cancel();
    int rounds = 0;
    try {
      while (!raised) {
        co_await m.lock();
        m.unlock();
        ++rounds;
      }
    } catch (const h::cancelled_error&) { ADD_FAILURE() << "after " << rounds << " rounds"; }
    EXPECT_EQ(self.uncancel(), 0u);
  });
}

}  // namespace
