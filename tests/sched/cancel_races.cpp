// SPDX-License-Identifier: MIT
// A cancellation meets the end of what is awaited: it is delivered, and once.
#include "sched/dawdling.h"

#include <heddle/core/future.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/wait_many.h>

#include <memory>
#include <stdexcept>
#include <vector>

namespace {

using namespace dawdling;

/// As dawdle, but some of it are waits in which a cancellation finds it.
h::task<> naps(std::uint32_t most) {
  for (auto n = t::choose(most); n > 0; --n) {
    if (t::choose(2) == 0)
      co_await h::yield_now();
    else
      co_await h::sleep(std::chrono::microseconds(t::choose(3)));
  }
}
h::task<> joins(int links) {
  if (links == 0) {
    auto end = naps(3);
    co_await std::move(end);
  } else {
    auto next = h::create_task(joins(links - 1));
    co_await next;
  }
}

enum class verb {
  join,
  gather,
  gather_settled,
  gather_of_gathers,
  shield,
  wait,
  as_completed,
  wait_for,
  wait_for_a_task,
  timeout,
  group,
  fork_join,
  thread,
  future,
  timeout_that_expires,
  timeouts_that_expire,
  wait_for_that_expires,
  group_that_fails,
  count
};

h::task<> gathers_two() {
  auto all = h::gather(naps(2), naps(2));
  co_await all;
}

h::task<> one_round(verb v) {
  switch (v) {
    case verb::join: {
      auto chain = joins(2);
      co_await std::move(chain);
      break;
    }
    case verb::gather: {
      auto all = gathers_two();
      co_await std::move(all);
      break;
    }
    case verb::gather_settled: {
      auto all = h::gather_settled(naps(2), naps(2));
      (void)co_await all;
      break;
    }
    case verb::gather_of_gathers: {
      auto all = h::gather(gathers_two(), gathers_two());
      co_await all;
      break;
    }
    case verb::shield: {
      auto inner = h::create_task(naps(3));
      auto shielded = h::shield(inner);
      co_await shielded;
      break;
    }
    case verb::wait: {
      std::vector<h::task_handle<>> members{h::create_task(naps(3)), h::create_task(naps(3))};
      auto first = h::wait(members, h::wait_until::first_completed);
      (void)co_await std::move(first);
      break;
    }
    case verb::as_completed: {
      auto ends = h::as_completed(naps(3), naps(3));
      for (;;) {
        const auto next = co_await ends.next();
        if (!next) break;
      }
      break;
    }
    case verb::wait_for: {
      auto limited = h::wait_for(naps(3), 1h);
      co_await std::move(limited);
      break;
    }
    case verb::wait_for_a_task: {
      auto inner = h::create_task(naps(3));
      auto limited = h::wait_for(inner, 1h);
      co_await std::move(limited);
      break;
    }
    case verb::timeout: {
      auto block = h::timeout(1h, [] { return gathers_two(); });
      co_await std::move(block);
      break;
    }
    case verb::group: {
      auto block = h::with_task_group([](h::task_group& g) -> h::task<> {
        g.create_task(naps(3));
        g.create_task(naps(3));
        auto body = naps(2);
        co_await std::move(body);
      });
      co_await std::move(block);
      break;
    }
    case verb::fork_join: {
      auto both = h::fork_join(naps(3), naps(3));
      co_await both;
      break;
    }
    case verb::thread: {
      auto job = h::to_thread([] { t::overtaking_point(); });
      co_await std::move(job);
      break;
    }
    case verb::future: {
      auto gate = std::make_shared<h::promise<void>>();
      auto opened = gate->get_future();
      (void)h::create_task([gate]() -> h::task<> {
        auto before = naps(3);
        co_await std::move(before);
        try {
          gate->set_value();
        } catch (const h::invalid_state_error&) {}  // the cancellation went to the future
      });
      co_await opened;
      break;
    }
    case verb::timeout_that_expires: {
      try {
        auto block = h::timeout(std::chrono::microseconds(t::choose(4)), [] { return naps(4); });
        co_await std::move(block);
      } catch (const h::timeout_error&) {}
      break;
    }
    case verb::timeouts_that_expire: {
      try {
        auto block = h::timeout(std::chrono::microseconds(t::choose(4)), []() -> h::task<> {
          auto inner = h::timeout(std::chrono::microseconds(t::choose(4)), [] { return naps(4); });
          co_await std::move(inner);
        });
        co_await std::move(block);
      } catch (const h::timeout_error&) {}
      break;
    }
    case verb::wait_for_that_expires: {
      try {
        auto inner = h::create_task(naps(4));
        auto limited = h::wait_for(inner, std::chrono::microseconds(t::choose(4)));
        co_await std::move(limited);
      } catch (const h::timeout_error&) {}
      break;
    }
    case verb::group_that_fails: {
      try {
        auto block = h::with_task_group([](h::task_group& g) -> h::task<> {
          g.create_task(fails_soon());
          auto body = naps(4);
          co_await std::move(body);
        });
        co_await std::move(block);
      } catch (const h::exception_group&) {}
      break;
    }
    case verb::count: break;
  }
}

/// What shields, waits and threads leave behind.
h::task<> others_end() {
  for (;;) {
    bool others = false;
    for (const auto& other : h::all_tasks()) others = others || other != h::current_task();
    if (!others) break;
    co_await h::sleep(1ms);
  }
}

// When cancel() says that it was heard, the task ends cancelled, whatever it waits in. The task
// took the cancellation itself, or what it awaits took it and passed it on. The danger is the
// moment at which the target has just ended: each side may believe that the other takes the
// cancellation. (The exception is asyncio's too: a gather whose children took it, and that throws
// the error of one.)
TEST(CancelRaces, ACancellationIsNeverLost) {
  for (int v = 0; v < static_cast<int>(verb::count); ++v) {
    SCOPED_TRACE(v);
    NO_SEED_FAILS(t::explore(1, many / 4, {.loops = 3}, [v]() -> h::task<> {
      auto target = h::create_task([v]() -> h::task<> {
        for (int i = 0; i < 20; ++i) {
          auto once = one_round(static_cast<verb>(v));
          co_await std::move(once);
        }
      });
      auto before = naps(12);
      co_await std::move(before);
      const bool asked = target.cancel();
      bool cancelled = false;
      try {
        co_await target;
      } catch (const h::cancelled_error&) { cancelled = true; }
      require(cancelled == asked, "a cancellation was lost");
      auto rest = others_end();
      co_await std::move(rest);
    }));
  }
}

// Nor is it delivered twice, nor is anything of it left after uncancel().
TEST(CancelRaces, ACancellationIsDeliveredOnce) {
  for (int v = 0; v < static_cast<int>(verb::count); ++v) {
    SCOPED_TRACE(v);
    NO_SEED_FAILS(t::explore(1, many / 4, {.loops = 3}, [v]() -> h::task<> {
      int delivered = 0;
      unsigned left = 0;
      bool began = false, stop = false;
      auto target = h::create_task([v, &delivered, &left, &began, &stop]() -> h::task<> {
        began = true;  // cancelled before its first step it would never begin
        while (!stop) {
          try {
            auto once = one_round(static_cast<verb>(v));
            co_await std::move(once);
            co_await h::sleep(1us);
          } catch (const h::cancelled_error&) {
            ++delivered;
            h::current_task().uncancel();
          }
        }
        left = h::current_task().cancelling();
      });
      while (!began) co_await h::sleep(1us);
      const char* wrong = nullptr;
      for (int expected = 1; expected <= 3 && !wrong; ++expected) {
        auto before = naps(8);
        co_await std::move(before);
        if (!target.cancel()) wrong = "it runs and was not cancelled";
        for (int n = 0; !wrong; ++n) {
          if (delivered == expected) break;
          if (n == 10'000) wrong = "a cancellation was lost";
          co_await h::sleep(1us);
        }
      }
      co_await h::sleep(20us);
      if (!wrong && delivered != 3) wrong = "a cancellation was delivered twice";
      stop = true;
      co_await target;
      require(!wrong, wrong);
      require(left == 0, "a request was left over");
      auto rest = others_end();
      co_await std::move(rest);
    }));
  }
}

TEST(CancelRaces, CancelledTwiceThroughAChainOfAwaits) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    auto inner = h::create_task([]() -> h::task<int> {
      try {
        co_await dawdle(6);
      } catch (const h::cancelled_error&) { co_return 1; }  // swallows the first
      try {
        co_await dawdle(6);
      } catch (const h::cancelled_error&) { co_return 2; }
      co_return 0;
    });
    auto middle = h::create_task([inner]() -> h::task<int> { co_return co_await inner; });
    auto outer = h::create_task([middle]() -> h::task<int> { co_return co_await middle; });
    auto second = h::create_task([outer]() -> h::task<> {
      co_await dawdle(5);
      auto mine = outer;
      mine.cancel();
    });
    co_await dawdle(5);
    outer.cancel();
    co_await second;
    try {
      (void)co_await outer;
    } catch (const h::cancelled_error&) {}
    try {
      (void)co_await middle;
    } catch (const h::cancelled_error&) {}
    try {
      (void)co_await inner;
    } catch (const h::cancelled_error&) {}
    require(inner.done() && middle.done(), "somebody is left");
  }));
}

h::task<int> tree(int n, h::future<void> gate) {
  if (n == 0) {
    co_await gate;
    co_return 1;
  }
  auto [a, b] = co_await h::fork_join(tree(n - 1, gate), tree(n - 1, gate));
  co_return a + b;
}

TEST(CancelRaces, StrandsThatWaitForOneFutureWhileTheirTaskIsCancelled) {
  bool whole = false, cut = false;
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, [&]() -> h::task<> {
    std::vector<h::promise<void>> gates(1);
    auto gate = gates[0].get_future();
    auto work = h::create_task(tree, 2, gate);
    auto opens = h::create_task([&gates]() -> h::task<> {
      co_await dawdle(6);
      try {
        gates[0].set_value();
      } catch (const h::invalid_state_error&) {}  // the cancellation went to the future
    });
    co_await dawdle(10);
    work.cancel();
    try {
      require(co_await work == 4, "another number");
      whole = true;
    } catch (const h::cancelled_error&) { cut = true; }
    co_await opens;
  }));
  EXPECT_TRUE(whole && cut);
}

}  // namespace
