// SPDX-License-Identifier: MIT
// Time-outs inside of others: which of them throws, and that a block is left once.
#include "sched/simulated_forks.h"

#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <stdexcept>
#include <string>

namespace {

using namespace simulated_forks;

/// Two blocks around a wait. True: the inner one has thrown, or said that it has not expired.
h::task<> nested(h::time_point inner_end, h::time_point outer_end, bool through_a_fork,
                 bool inner_first) {
  bool inner_threw = false, inner_expired = false, outer_threw = false, outer_expired = false;
  auto inside = [&]() -> h::task<> {
    auto waits = [&](h::timeout_scope& s) -> h::task<> {
      try {
        co_await h::sleep(1000h);
      } catch (...) {
        inner_expired = s.expired();
        throw;
      }
    };
    auto block = h::timeout_at(inner_end, waits);
    try {
      co_await std::move(block);
    } catch (const h::timeout_error&) {
      inner_threw = true;
      if (!inner_first) throw;
    }
    co_await h::sleep(1000h);
  };
  auto around = [&](h::timeout_scope& s) -> h::task<> {
    try {
      if (through_a_fork)
        co_await h::fork_join(inside(), nothing());
      else
        co_await inside();
    } catch (...) {
      outer_expired = s.expired();
      throw;
    }
  };
  auto block = h::timeout_at(outer_end, around);
  try {
    co_await std::move(block);
  } catch (const h::timeout_error&) { outer_threw = true; }
  require(outer_threw && outer_expired, "the outer block did not end by its deadline");
  require(inner_threw == inner_first, "the wrong block has thrown");
  if (inner_first) require(inner_expired, "the inner block threw and was not expired");
  require(h::current_task().cancelling() == 0, "a request is left over");
  co_await h::sleep(1ms);
}

/// Many at once, so that loops are busy and tasks are stolen between two timers.
h::task<> many_nested(h::duration inner, h::duration outer, bool through_a_fork, bool inner_first) {
  std::vector<h::task<>> all;
  const auto start = h::clock::now();
  for (int i = 0; i < 12; ++i)
    all.push_back(nested(start + inner, start + outer, through_a_fork, inner_first));
  auto both = h::gather(std::move(all));
  co_await both;
}

TEST(NestedTimeOuts, OfEqualDeadlinesTheOuterThrows) {
  at_all_loops(1s, [] { return many_nested(50ms, 50ms, false, false); });
}
TEST(NestedTimeOuts, OfEqualDeadlinesTheOuterThrowsThroughAForkJoin) {
  at_all_loops(1s, [] { return many_nested(50ms, 50ms, true, false); });
}
TEST(NestedTimeOuts, TheOuterIsDueFirst) {
  at_all_loops(1s, [] { return many_nested(50ms + 1ns, 50ms, false, false); });
}
TEST(NestedTimeOuts, TheInnerIsDueFirst) {
  at_all_loops(1s, [] { return many_nested(50ms, 50ms + 1ns, false, true); });
}
TEST(NestedTimeOuts, TheInnerIsDueFirstThroughAForkJoin) {
  at_all_loops(1s, [] { return many_nested(50ms, 50ms + 1ns, true, true); });
}

TEST(NestedTimeOuts, OfEqualDeadlinesBothHaveExpired) {
  at_all_loops(1s, []() -> h::task<> {
    bool inner_expired = false, outer_expired = false, inner_threw = false;
    const auto end = h::clock::now() + 50ms;
    auto around = [&](h::timeout_scope& outer) -> h::task<> {
      auto inside = [&](h::timeout_scope& inner) -> h::task<> {
        try {
          co_await h::sleep(1000h);
        } catch (...) {}
        // Clean-up. With several loops the timer of this block may fire later than the one around
        // it, and then interrupts this too.
        for (int i = 0; i < 10 && !inner.expired(); ++i) {
          try {
            co_await h::sleep(1ms);
          } catch (const h::cancelled_error&) {}
        }
        inner_expired = inner.expired();
        throw h::cancelled_error();
      };
      auto block = h::timeout_at(end, inside);
      try {
        co_await std::move(block);
      } catch (const h::timeout_error&) { inner_threw = true; } catch (const h::cancelled_error&) {
        outer_expired = outer.expired();
        throw;
      }
    };
    auto block = h::timeout_at(end, around);
    bool outer_threw = false;
    try {
      co_await std::move(block);
    } catch (const h::timeout_error&) { outer_threw = true; }
    require(outer_threw && !inner_threw, "the inner block has thrown");
    require(inner_expired && outer_expired, "a block was not expired");
  });
}

/// A value whose move throws.
struct unmovable_now {
  unmovable_now() = default;
  unmovable_now(unmovable_now&& other) : armed(other.armed) {
    if (armed) throw std::runtime_error("the move");
  }
  bool armed = false;
};

TEST(TimeOut, AResultWhoseMoveThrowsAfterTheDeadlineLeavesTheBlockOnce) {
  at_all_loops(1s, []() -> h::task<> {
    auto body = []() -> unmovable_now {
      unmovable_now v;
      v.armed = true;
      return v;  // in place: the move that throws comes later
    };
    auto slow = [&body](h::timeout_scope& s) -> h::task<unmovable_now> {
      try {
        co_await h::sleep(1000h);
      } catch (const h::cancelled_error&) {}
      require(s.expired(), "it is not the deadline that came");
      co_return body();
    };
    auto plain = [&body](h::timeout_scope& s) -> unmovable_now {
      s.reschedule(h::clock::now() - 1s);
      return body();
    };
    for (int i = 0; i < 2; ++i) {
      std::string what;
      try {
        if (i == 0) {
          auto block = h::timeout(50ms, slow);
          (void)co_await std::move(block);
        } else {
          auto block = h::timeout(50ms, plain);
          (void)co_await std::move(block);
        }
      } catch (const std::runtime_error& e) { what = e.what(); }
      require(what == "the move", "another error");
      require(h::current_task().cancelling() == 0,
              "a request is left over, or was taken back twice");
    }
    co_await h::sleep(1ms);
  });
}

}  // namespace
