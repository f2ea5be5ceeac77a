// SPDX-License-Identifier: MIT
// The verbs under simulation: what cancels, fails and ends at once, a thousand seeds each.
#include "support/simulated.h"

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

namespace h = heddle;
namespace t = heddle::testing;
using namespace std::chrono_literals;
using simulated::require;
using simulated::seeds;

namespace {

const std::uint64_t many = seeds(1000);

h::task<> dawdle(std::uint32_t most) {
  for (auto n = t::choose(most); n > 0; --n) co_await h::yield_now();
}

h::task<> fails_soon() {
  co_await dawdle(4);
  throw std::runtime_error("a child");
}

TEST(GroupRaces, EveryErrorArrivesAndEveryChildHasEnded) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    int failed = 0, ended = 0;
    auto child = [&failed, &ended]() -> h::task<> {
      try {
        co_await dawdle(4);
      } catch (...) {
        ++ended;
        throw;
      }
      ++failed;
      ++ended;
      throw std::runtime_error("a child");
    };
    std::size_t told = 0;
    try {
      auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
        try {
          for (int i = 0; i < 3; ++i) g.create_task(child);
        } catch (const h::usage_error&) {}  // one has failed already: the group takes no more
        co_return;
      });
      co_await std::move(block);
    } catch (const h::exception_group& e) { told = e.exceptions().size(); }
    require(told == static_cast<std::size_t>(failed), "an error was lost, or told twice");
    require(told >= 1, "no error at all");
    require(h::current_task().cancelling() == 0, "a request was left over");
    co_await h::sleep(1ms);  // and none is pending
  }));
}

TEST(GroupRaces, CancelledFromOutsideWhileAChildFails) {
  bool seen_errors = false, seen_cancelled = false;
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, [&]() -> h::task<> {
    int alive = 0;
    auto outer = h::create_task([&alive]() -> h::task<> {
      auto block = h::with_task_group([&alive](h::task_group& g) -> h::task<> {
        g.create_task(fails_soon);
        g.create_task([&alive]() -> h::task<> {
          ++alive;
          try {
            co_await h::sleep(1h);
          } catch (...) {
            --alive;
            throw;
          }
        });
        co_await h::sleep(1h);
      });
      co_await std::move(block);
    });
    co_await dawdle(6);
    outer.cancel();
    try {
      co_await outer;
      require(false, "it ended well");
    } catch (const h::cancelled_error&) {
      seen_cancelled = true;
    } catch (const h::exception_group&) { seen_errors = true; }
    require(alive == 0, "a child outlived its group");
  }));
  EXPECT_TRUE(seen_errors && seen_cancelled);
}

TEST(GroupRaces, TheGroupIsCancelledByOneOfItsChildren) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    int ended = 0;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      for (int i = 0; i < 3; ++i) {
        h::task_handle<void> started;
        try {
          started = g.create_task([&ended, &g, i]() -> h::task<> {
            co_await dawdle(3);
            if (i == 1) g.cancel();
            co_await dawdle(3);
            ++ended;
          });
        } catch (const h::usage_error&) {}  // cancelled already: the group takes no more
      }
      co_await dawdle(3);
    });
    co_await std::move(block);
    require(ended <= 3, "a child ended twice");
    require(h::current_task().cancelling() == 0, "a request was left over");
    co_await h::sleep(1ms);
  }));
}

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

// Whatever a task waits in when cancel() says that it was heard, the task ends cancelled: who took
// the cancellation passed it on, or was it himself. It may hit when what is waited for has just
// ended, and everybody believes that another one will take it. (The exception, asyncio's too: a
// gather whose children took it and that then throws the error of one of them.)
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

TEST(ShieldRaces, TheInnerTaskIsNeverCancelled) {
  bool outer_cancelled = false, outer_done = false;
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, [&]() -> h::task<> {
    auto inner = h::create_task([]() -> h::task<int> {
      co_await dawdle(5);
      co_return 7;
    });
    auto outer = h::create_task([inner]() -> h::task<int> {
      auto kept = h::shield(inner);
      co_return co_await kept;
    });
    co_await dawdle(6);
    outer.cancel();
    try {
      require(co_await outer == 7, "another value");
      outer_done = true;
    } catch (const h::cancelled_error&) { outer_cancelled = true; }
    require(co_await inner == 7, "the inner task was disturbed");
  }));
  EXPECT_TRUE(outer_done && outer_cancelled);
}

TEST(WaitRaces, TheFirstToEndWhileTheWaiterIsCancelledOrOutOfTime) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    const auto when = h::clock::now() + 1ms;
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 3; ++i)
      tasks.push_back(h::create_task([when]() -> h::task<> {
        co_await h::sleep(when - h::clock::now());
        co_await dawdle(2);
      }));
    auto waits = h::create_task([&tasks, when]() -> h::task<> {
      auto first = h::wait(tasks, h::wait_until::first_completed, when - h::clock::now());
      auto [done, pending] = co_await std::move(first);
      require(done.size() + pending.size() == 3, "a member is missing");
      for (auto& d : done) require(d.done(), "told done, and is not");
    });
    co_await h::sleep(when - h::clock::now());
    co_await dawdle(3);
    waits.cancel();
    try {
      co_await waits;
    } catch (const h::cancelled_error&) {}
    for (auto& one : tasks) co_await one;  // cancelling the waiter leaves its members alone
  }));
}

TEST(WaitRaces, AsCompletedYieldsEachMemberOnce) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    std::vector<h::task_handle<int>> tasks;
    for (int i = 0; i < 4; ++i)
      tasks.push_back(h::create_task([i]() -> h::task<int> {
        co_await dawdle(4);
        co_return 1 << i;
      }));
    auto completed = h::as_completed(tasks);
    int seen = 0, count = 0;
    for (;;) {
      auto next = co_await completed.next();
      if (!next) break;
      seen |= next->result();
      ++count;
    }
    require(count == 4 && seen == 15, "a member is missing, or came twice");
  }));
}

TEST(TimeoutRaces, NestedScopesThatFireAtOnce) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 2}, []() -> h::task<> {
    const auto when = h::clock::now() + 1ms;
    bool inner_fired = false, outer_fired = false;
    try {
      auto outer = h::timeout(when - h::clock::now(), [&]() -> h::task<> {
        try {
          auto inner = h::timeout(when - h::clock::now(), [&]() -> h::task<> {
            co_await h::sleep(when - h::clock::now());
            co_await dawdle(2);
          });
          co_await std::move(inner);
        } catch (const h::timeout_error&) { inner_fired = true; }
        co_await h::sleep(1ms);
      });
      co_await std::move(outer);
    } catch (const h::timeout_error&) { outer_fired = true; }
    require(outer_fired, "the outer scope never expired");
    require(h::current_task().cancelling() == 0, "a request was left over");
    co_await h::sleep(1ms);
    (void)inner_fired;
  }));
}

TEST(JobRaces, AJobEndsWhileItsWaiterIsCancelled) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 2}, []() -> h::task<> {
    bool ran = false;
    auto waits = h::create_task([&ran]() -> h::task<int> {
      auto job = h::to_thread([&ran] {
        t::overtaking_point();
        ran = true;
        return 3;
      });
      co_return co_await std::move(job);
    });
    co_await dawdle(5);
    waits.cancel();
    try {
      require(co_await waits == 3 && ran, "another value");
    } catch (const h::cancelled_error&) {}
    // It runs on alone if it was begun, and refers to `ran`: so wait for it.
    auto after = h::to_thread([] { t::block_for(1s); });
    co_await std::move(after);
  }));
}

TEST(ShutdownRaces, SubmittedWhileTheRuntimeEnds) {
  bool refused = false, ran = false, cut = false;
  for (std::uint64_t seed = 1; seed <= many; ++seed) {
    t::simulate_program(seed, [&] {
      auto r = std::make_unique<h::runtime>(h::options{.loops = 2});
      std::optional<h::future<int>> result;
      {
        t::virtual_thread submits([&] {
          try {
            result = r->submit([]() -> h::task<int> {
              co_await dawdle(3);
              co_return 5;
            });
          } catch (const h::usage_error&) { refused = true; }
        });
        for (auto n = t::choose(30); n > 0; --n) t::overtaking_point();
        r->close();
      }
      if (!result) return;
      require(result->done(), "its future is pending for ever");
      try {
        require(result->get() == 5, "another value");
        ran = true;
      } catch (const h::cancelled_error&) { cut = true; }
    });
  }
  EXPECT_TRUE(refused);
  EXPECT_TRUE(ran || cut);
}

TEST(ShutdownRaces, AFatalErrorIsFatalAlsoWhenTheFutureOfItsTaskIsCancelledMeanwhile) {
  bool was_fatal = false, was_cancelled = false;
  for (std::uint64_t seed = 1; seed <= many; ++seed) {
    bool threw = false, fatal = false;
    t::simulate_program(seed, [&] {
      h::runtime r({.loops = 2});
      t::virtual_thread outside([&] {
        auto result = r.submit([&threw]() -> h::task<int> {
          co_await dawdle(3);
          threw = true;
          throw h::fatal_error("the end");
          co_return 0;
        });
        for (auto n = t::choose(100); n > 0; --n) t::overtaking_point();
        result.cancel("given up");
      });
      try {
        r.run([]() -> h::task<> { co_await h::sleep(1s); }());
      } catch (const h::fatal_error&) { fatal = true; }
    });
    EXPECT_EQ(threw, fatal) << "seed " << seed;
    (fatal ? was_fatal : was_cancelled) = true;
  }
  EXPECT_TRUE(was_fatal && was_cancelled);
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
