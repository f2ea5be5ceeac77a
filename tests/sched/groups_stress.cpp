// SPDX-License-Identifier: MIT
// Structured waiting while everything is cancelled, ends and runs out of time at once, from other
// loops and foreign threads. Each stress runs over the real thing, which must hold, and over one
// with a planted fault, which the same check must notice.
#include <heddle/core/base/random.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_many.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using heddle::detail::random_source;
using namespace std::chrono_literals;

class GroupsStress : public support::at_loops {
 protected:
  template <class T>
  static T run(h::task<T> main) {
    auto o = with();
    o.exception_handler = [](const h::error_context&) {
    };  // what a faulty one loses is not worth a line
    return h::run(std::move(main), o);
  }
  /// Tries until the fault shows.
  template <class F>
  static bool noticed(F holds) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    for (std::uint64_t seed = 1; std::chrono::steady_clock::now() < end; ++seed)
      if (!run(holds(seed))) return true;
    return false;
  }
  template <class F>
  static void always(int n, F holds) {
    for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(support::rounds(n)); ++seed)
      ASSERT_TRUE(run(holds(seed))) << "seed " << seed;
  }
};

struct error_e {};

h::task<> some_yields(std::uint32_t n) {
  for (std::uint32_t i = 0; i < n; ++i) co_await h::yield_now();
}

// -------------------------------------------------------------- task groups

struct real_group {
  h::task_group group;
  void spawn(h::task<> t) { group.create_task(std::move(t)); }
  void cancel() { group.cancel(); }
  template <class F>
  h::task<> block(F body) {
    auto all = h::with_task_group(group, [body](h::task_group&) { return body(); });
    co_await std::move(all);
  }
};

/// Passes a cancellation on to its children and leaves, without awaiting them to their end.
struct group_that_does_not_await_again {
  std::mutex lock;
  std::vector<h::task_handle<>> children;
  void spawn(h::task<> t) {
    std::lock_guard hold(lock);
    children.push_back(h::create_task(std::move(t)));
  }
  std::vector<h::task_handle<>> copy() {
    std::lock_guard hold(lock);
    return children;
  }
  void cancel() {
    for (auto& c : copy()) c.cancel();
  }
  template <class F>
  h::task<> block(F body) {
    std::exception_ptr error;
    try {
      auto inner = body();
      co_await std::move(inner);
      auto all = h::wait(copy());
      (void)co_await std::move(all);
    } catch (...) { error = std::current_exception(); }
    if (!error) co_return;
    cancel();
    std::rethrow_exception(error);  // the fault
  }
};

template <class Group>
struct crowd {
  Group group;
  std::atomic<int> alive{0};
  std::atomic<int> failed{0};
  std::atomic<unsigned> asked{0};  // cancellations of the parent, from outside
  std::atomic<bool> over{false};
};
template <class Group>
h::task<> crowd_child(crowd<Group>& c, std::uint64_t seed, int depth) {
  struct counts {
    std::atomic<int>& n;
    explicit counts(std::atomic<int>& a) : n(a) { ++n; }
    ~counts() { --n; }
  } here(c.alive);
  random_source random(seed);
  auto some = some_yields(random.below(5));
  std::exception_ptr error;
  try {
    co_await std::move(some);
    if (depth > 0 && random.below(2) == 0) {
      try {
        c.group.spawn(crowd_child(c, seed * 31 + 7, depth - 1));
      } catch (const h::usage_error&) {
        // it is being cancelled
      }
    }
    if (random.below(3) == 0) co_await h::sleep(std::chrono::microseconds(random.below(200)));
  } catch (...) { error = std::current_exception(); }
  if (error && random.below(2) == 0) {  // a slow cleanup
    auto cleanup = some_yields(3);
    try {
      co_await std::move(cleanup);
    } catch (const h::cancelled_error&) {
      // once more
    }
  }
  if (random.below(8) == 0) {
    ++c.failed;
    throw error_e();
  }
  if (error) std::rethrow_exception(error);
}

/// Every child is over when the block is left; what failed is in the group; the parent's count is
/// what outside made it.
template <class Group>
h::task<bool> crowds_end(std::uint64_t seed) {
  random_source random(seed);
  auto c = std::make_unique<crowd<Group>>();
  std::atomic<bool> right{true};
  auto parent = h::create_task([&]() -> h::task<> {
    std::exception_ptr error;
    auto block = c->group.block([&]() -> h::task<> {
      for (std::uint64_t i = 0; i < 6; ++i) {
        try {
          c->group.spawn(crowd_child(*c, seed * 100 + i, 2));
        } catch (const h::usage_error&) { break; }
      }
      auto some = some_yields(static_cast<std::uint32_t>(seed % 4));
      co_await std::move(some);
      if (seed % 3 == 0) co_await h::sleep(std::chrono::microseconds(100));
    });
    try {
      co_await std::move(block);
    } catch (...) { error = std::current_exception(); }
    if (c->alive != 0) right = false;
    c->over = true;
    std::size_t in_group = 0;
    try {
      if (error) std::rethrow_exception(error);
    } catch (const h::exception_group& g) {
      in_group = g.exceptions().size();
    } catch (const h::cancelled_error&) {
      // from outside
    }
    if (in_group != static_cast<std::size_t>(c->failed.load())) right = false;
  });
  const auto attack = [&c, &parent, seed](std::uint64_t who) {
    random_source own(seed * 7 + who);
    for (auto n = own.below(400); n > 0; --n) std::atomic_signal_fence(std::memory_order_seq_cst);
    switch (own.below(3)) {
      case 0:
        if (parent.cancel()) ++c->asked;
        break;
      case 1: c->group.cancel(); break;
      default: break;
    }
  };
  std::thread foreign;
  if (seed % 2) foreign = std::thread(attack, 1);
  auto other = h::create_task([&]() -> h::task<> {
    auto some = some_yields(random.below(6));
    co_await std::move(some);
    attack(2);
  });
  co_await other;
  co_await support::until_later([&] { return parent.done(); });
  if (foreign.joinable()) foreign.join();
  if (parent.cancelling() > c->asked) right = false;  // a request of the group's was not taken back
  co_await support::until_later([&] { return c->alive == 0; });
  co_await support::until_later([] { return h::all_tasks().size() == 1; });
  co_return right.load();
}

TEST_P(GroupsStress, ABlockIsLeftWhenAllAreOverAndWithWhatFailed) {
  always(200, [](std::uint64_t seed) { return crowds_end<real_group>(seed); });
}
TEST_P(GroupsStress, AGroupThatDoesNotAwaitAgainIsNoticed) {
  EXPECT_TRUE(noticed(
      [](std::uint64_t seed) { return crowds_end<group_that_does_not_await_again>(seed); }));
}

// --------------------------------------------------------------------- wait

struct real_wait {
  template <class A>
  static h::task<h::wait_result<A>> of(std::vector<A> members, h::wait_until until,
                                       h::duration limit) {
    return h::wait(std::move(members), until, limit);
  }
};
/// Goes on when it is woken, whatever for.
struct wait_that_does_not_look {
  template <class A>
  static h::task<h::wait_result<A>> of(std::vector<A> members, h::wait_until, h::duration) {
    co_await h::yield_now();
    h::wait_result<A> r;
    for (auto& m : members) (m.done() ? r.done : r.pending).push_back(m);
    co_return r;
  }
};

/// It returns for a reason, and neither it nor its cancellation touches the members.
template <class Wait>
h::task<bool> waits_end(std::uint64_t seed) {
  random_source random(seed);
  std::vector<h::promise<int>> promises(8);
  std::vector<h::future<int>> members;
  for (auto& p : promises) members.push_back(p.get_future());
  std::atomic<bool> right{true};
  const auto until = static_cast<h::wait_until>(seed % 3);
  const auto limit = seed % 5 == 0 ? h::duration(50us) : h::duration(1h);
  std::vector<h::task_handle<>> waiting;
  for (int i = 0; i < 3; ++i)
    waiting.push_back(h::create_task([&]() -> h::task<> {
      const auto begun = h::clock::now();
      auto all = Wait::of(members, until, limit);
      auto r = co_await std::move(all);
      bool failed = false;
      for (auto& m : r.done) failed = failed || m.exception();
      const bool enough = r.pending.empty() ||
                          (until == h::wait_until::first_completed && !r.done.empty()) ||
                          (until == h::wait_until::first_exception && failed);
      if (!enough && h::clock::now() - begun < limit) right = false;
      if (r.done.size() + r.pending.size() != members.size()) right = false;
    }));
  const bool cancels = random.below(2) == 0;
  const auto set = [&](std::size_t from) {
    for (std::size_t i = from; i < promises.size(); i += 2) {
      if (i % 3 == 1)
        promises[i].set_exception(error_e());
      else
        promises[i].set_value(1);
    }
  };
  std::thread foreign([&] { set(0); });
  auto other = h::create_task([&]() -> h::task<> {
    co_await h::yield_now();
    if (cancels) waiting[0].cancel();
    set(1);
  });
  co_await other;
  for (auto& w : waiting) co_await support::until_later([&] { return w.done(); });
  foreign.join();
  for (auto& m : members)
    if (!m.done() || m.cancelled()) right = false;
  for (auto& m : members) (void)m.exception();
  co_return right && !waiting[1].cancelled() && !waiting[2].cancelled();
}

TEST_P(GroupsStress, AWaitEndsForAReasonAndLeavesItsMembersAlone) {
  always(200, [](std::uint64_t seed) { return waits_end<real_wait>(seed); });
}
TEST_P(GroupsStress, AWaitThatDoesNotLookIsNoticed) {
  EXPECT_TRUE(noticed([](std::uint64_t seed) { return waits_end<wait_that_does_not_look>(seed); }));
}

// ------------------------------------------------------------- as_completed

struct real_next {
  template <class All>
  static h::task<bool> of(All& all) {
    auto next = co_await all.next();
    co_return next.has_value();
  }
};
/// Keeps what it was given when it is cancelled after that.
struct next_that_keeps {
  template <class All>
  static h::task<bool> of(All& all) {
    auto next = co_await all.next();
    co_await h::yield_now();  // the fault
    co_return next.has_value();
  }
};

/// Several ask, some are cancelled: each member comes out once.
template <class Next>
h::task<bool> completions_are_kept(std::uint64_t seed) {
  random_source random(seed);
  const int n = 40;
  std::vector<h::task<>> members;
  for (int i = 0; i < n; ++i) members.push_back(some_yields(random.below(6)));
  auto all = h::as_completed(std::move(members));
  std::atomic<int> seen{0};
  std::vector<h::task_handle<>> askers;
  for (int i = 0; i < 6; ++i)
    askers.push_back(h::create_task([&]() -> h::task<> {
      for (;;) {
        auto next = Next::of(all);
        const bool got = co_await std::move(next);
        if (!got) break;
        ++seen;
      }
    }));
  std::thread foreign([&] { askers[0].cancel(); });
  for (std::size_t i = 1; i < 4; ++i) {
    co_await h::yield_now();
    askers[i].cancel();
  }
  for (auto& a : askers) co_await support::until_later([&] { return a.done(); });
  foreign.join();
  for (;;) {  // given back after the others had ended
    auto next = co_await all.next();
    if (!next) break;
    ++seen;
  }
  co_return seen == n;
}

TEST_P(GroupsStress, WhatHasEndedComesOutOnceWhoeverIsCancelled) {
  always(200, [](std::uint64_t seed) { return completions_are_kept<real_next>(seed); });
}
TEST_P(GroupsStress, AnElementThatIsKeptByACancelledTaskIsNoticed) {
  EXPECT_TRUE(
      noticed([](std::uint64_t seed) { return completions_are_kept<next_that_keeps>(seed); }));
}

// ------------------------------------------------------------------- shield

struct real_shield {
  static h::task<int> of(h::task_handle<int> inner) {
    auto outer = h::shield(inner);
    co_return co_await outer;
  }
};
struct no_shield {
  static h::task<int> of(h::task_handle<int> inner) { co_return co_await inner; }
};

/// Whichever waiter gives up, the inner task is not touched, and the waiters that stay get its
/// result.
template <class Shield>
h::task<bool> inners_survive(std::uint64_t seed) {
  random_source random(seed);
  const auto yields = random.below(6);
  auto inner = h::create_task(
      [](std::uint32_t yields) -> h::task<int> {
        auto some = some_yields(yields);
        co_await std::move(some);
        co_return 7;
      },
      yields);
  std::atomic<bool> right{true};
  std::vector<h::task_handle<>> waiting;
  for (int i = 0; i < 5; ++i)
    waiting.push_back(h::create_task([&, i]() -> h::task<> {
      auto outer = Shield::of(inner);
      if (i == 1) {
        auto limited = h::timeout(20us, [&]() { return std::move(outer); });
        try {
          (void)co_await std::move(limited);
        } catch (const h::timeout_error&) {
          // the inner goes on
        }
        co_return;
      }
      if (co_await std::move(outer) != 7) right = false;
    }));
  std::thread foreign([&] { waiting[2].cancel(); });
  co_await h::yield_now();
  waiting[3].cancel();
  for (auto& w : waiting) co_await support::until_later([&] { return w.done(); });
  co_await support::until_later([&] { return inner.done(); });
  foreign.join();
  co_return right && !inner.cancelled() && inner.cancelling() == 0 && !waiting[0].cancelled() &&
      !waiting[4].cancelled();
}

TEST_P(GroupsStress, AShieldedTaskSurvivesAllWhoGiveUp) {
  always(200, [](std::uint64_t seed) { return inners_survive<real_shield>(seed); });
}
TEST_P(GroupsStress, OneThatIsNotShieldedIsNoticed) {
  EXPECT_TRUE(noticed([](std::uint64_t seed) { return inners_survive<no_shield>(seed); }));
}

HEDDLE_AT_LOOPS(GroupsStress);

}  // namespace
