// SPDX-License-Identifier: MIT
// Cancellation that reaches strands, on real threads: trees of fork_join with time-outs and task
// groups inside of strands, cancelled from other loops and from foreign threads.
//
// What must hold:
// - A wait is cancelled only for a cause above it: a request to the task, a deadline that has
//   passed, a child that has failed. Once a cause at most.
// - What waits for ever ends, since the task is cancelled in the end.
// - Scopes take back their own requests: when a task's tree is over, cancelling() is what was asked
//   from outside and not taken back, and with that taken back nothing is delivered any more.
#include <heddle/core/base/random.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace h = heddle;
using heddle::detail::random_source;
using namespace std::chrono_literals;

class StrandsStress : public support::at_loops {};
HEDDLE_AT_LOOPS(StrandsStress);

/// Why what stands below may be cancelled.
struct cause {
  explicit cause(cause* above, h::time_point when = h::time_point::max()) noexcept
      : up(above), deadline(when) {}

  cause* const up;
  const h::time_point deadline;
  std::atomic<int> count{0};

  /// So many times, by this and all above.
  [[nodiscard]] int so_far() const noexcept {
    int n = 0;
    for (const auto* c = this; c; c = c->up)
      n += c->count.load() + (h::clock::now() >= c->deadline ? 1 : 0);
    return n;
  }
};

/// One task and its tree.
struct tree {
  cause top{nullptr};  // counts what is asked of the task, before it is
  std::mutex lock;     // guards the next two, together with a look at top.count
  int taken = 0;       // requests from outside that strands have taken back
  int to_come = 0;     // requests that are sure to follow
  std::atomic<int> cancellers{0};
  std::atomic<bool> begun{false}, over{false};
  // What must stay 0.
  std::atomic<int> without_cause{0}, too_often{0}, lost{0}, left_over{0}, wrong{0};
  std::atomic<int> told{0};
};

h::task<> wait_somehow(std::uint32_t how) {
  if (how < 3)
    for (std::uint32_t i = 0; i <= how; ++i) co_await h::yield_now();
  else if (how < 5)
    co_await h::sleep(std::chrono::microseconds(how * 20));
  else
    co_await h::sleep(1000h);
}

/// Waits, and when it is cancelled cleans up, which is a wait too. Half of these end well then.
h::task<> leaf(tree& t, cause& above, std::uint64_t seed) {
  random_source random(seed);
  int told = 0;
  const auto is_told = [&] {
    ++told;
    if (above.so_far() == 0) ++t.without_cause;
  };
  try {
    auto waiting = wait_somehow(random.below(8));
    co_await std::move(waiting);
  } catch (const h::cancelled_error&) { is_told(); }
  if (told == 0) co_return;
  ++t.told;
  for (int i = 0; i < 3; ++i) {
    try {
      co_await h::yield_now();
    } catch (const h::cancelled_error&) { is_told(); }
  }
  if (told > above.so_far()) ++t.too_often;
  const bool swallows = random.below(2) == 0;
  if (swallows && random.below(2) == 0) {
    const std::lock_guard hold(t.lock);
    // One request from outside stands; and the last is never taken back, since a strand that
    // begins after that would wait for ever, and rightly.
    if (t.top.count.load() > t.taken && t.to_come != 0) {
      (void)h::current_task().uncancel();
      ++t.taken;
    }
  }
  if (!swallows) throw h::cancelled_error();
}

h::task<> node(tree& t, cause& above, std::uint64_t seed, int depth);

/// A strand of a join: what it fails with is a cause for its siblings, before they hear of it.
h::task<> strand(tree& t, cause& join, std::uint64_t seed, int depth) {
  try {
    auto work = node(t, join, seed, depth);
    co_await std::move(work);
  } catch (...) {
    ++join.count;
    throw;
  }
}

h::task<> forks(tree& t, cause& above, random_source& random, int depth) {
  cause join(&above);
  const auto a = random.next(), b = random.next(), c = random.next();
  switch (random.below(4)) {
    case 0: {
      auto three = h::fork_join(strand(t, join, a, depth), strand(t, join, b, depth),
                                strand(t, join, c, depth));
      co_await three;
      break;
    }
    case 1: {  // made on demand
      const auto make = [&, depth](std::size_t i) { return strand(t, join, a + i, depth); };
      auto some = h::fork_join(1 + random.below(4), make);
      co_await some;
      break;
    }
    default:
      auto two = h::fork_join(strand(t, join, a, depth), strand(t, join, b, depth));
      co_await two;
  }
}

h::task<> times_out(tree& t, cause& above, random_source& random, int depth) {
  cause late(&above, h::clock::now() + std::chrono::microseconds(random.below(300)));
  const auto seed = random.next();
  bool expired = false;
  try {
    auto body = [&t, &late, seed, depth] { return node(t, late, seed, depth); };
    auto block = h::timeout_at(late.deadline, body);
    co_await std::move(block);
  } catch (const h::timeout_error&) { expired = true; }
  if (expired && h::clock::now() < late.deadline) ++t.wrong;
}

struct failure {};

/// A group in a strand: one child waits for ever, another one fails, and the body is a tree.
h::task<> groups(tree& t, cause& above, random_source& random, int depth) {
  cause aborted(&above);
  const auto seed = random.next();
  const auto yields = random.below(5);
  auto body = [&, seed, yields, depth](h::task_group& g) -> h::task<> {
    g.create_task([&aborted, yields]() -> h::task<> {
      for (std::uint32_t i = 0; i < yields; ++i) co_await h::yield_now();
      ++aborted.count;
      throw failure();
    });
    g.create_task([&t, &aborted]() -> h::task<> {
      bool told = false;
      try {
        co_await h::sleep(1000h);
      } catch (const h::cancelled_error&) { told = true; }
      if (told && aborted.so_far() == 0) ++t.without_cause;
    });
    auto work = node(t, aborted, seed, depth);
    co_await std::move(work);
  };
  try {
    auto block = h::with_task_group(body);
    co_await std::move(block);
  } catch (const h::exception_group&) {}
}

h::task<> node(tree& t, cause& above, std::uint64_t seed, int depth) {
  random_source random(seed);
  const auto what = depth == 0 ? 0 : random.below(10);
  if (what < 2) {
    auto end = leaf(t, above, random.next());
    co_await std::move(end);
  } else if (what < 7) {
    auto join = forks(t, above, random, depth - 1);
    co_await std::move(join);
  } else if (what < 9) {
    auto block = times_out(t, above, random, depth - 1);
    co_await std::move(block);
  } else {
    auto block = groups(t, above, random, depth - 1);
    co_await std::move(block);
  }
}

h::task<> grow(tree& t, std::uint64_t seed) {
  t.begun = true;
  try {
    auto all = node(t, t.top, seed, 6);
    co_await std::move(all);
  } catch (const h::cancelled_error&) {
  } catch (...) { ++t.wrong; }
  t.over = true;
  while (t.cancellers != 0) {
    try {
      co_await h::sleep(50us);
    } catch (const h::cancelled_error&) {}
  }
  try {  // what was asked last
    co_await h::yield_now();
  } catch (const h::cancelled_error&) {}
  const h::any_task self = h::current_task();
  if (static_cast<int>(self.cancelling()) != t.top.count - t.taken) ++t.left_over;
  for (auto n = self.cancelling(); n != 0; --n) (void)self.uncancel();
  try {
    for (int i = 0; i < 3; ++i) co_await h::yield_now();
  } catch (const h::cancelled_error&) { ++t.left_over; }
  if (self.cancelling() != 0) ++t.left_over;
}

void ask(tree& t, const h::any_task& root, bool announced) {
  const std::lock_guard hold(t.lock);  // so that whoever sees the count sees the request, too
  if (announced) ++t.top.count;
  if (t.to_come != 0) --t.to_come;
  (void)root.cancel();
}

/// Cancels a few times, and then must see the tree end.
class canceller {
 public:
  canceller(tree& t, h::any_task root, std::uint64_t seed, bool announced) noexcept
      : tree_(t),
        root_(std::move(root)),
        random_(seed),
        announced_(announced),
        times_(1 + random_.below(3)) {
    const std::lock_guard hold(t.lock);
    t.to_come += static_cast<int>(times_);
  }
  canceller(canceller&& other) noexcept = default;

  [[nodiscard]] h::duration pause() {
    return std::chrono::microseconds(random_.below(2) == 0 ? 0 : random_.below(200));
  }
  [[nodiscard]] unsigned times() const { return times_; }
  void cancel() { ask(tree_, root_, announced_); }
  [[nodiscard]] bool over() const { return tree_.over; }
  /// It should have been over long ago.
  void help() {
    if (rounds_++ == 20'000) ++tree_.lost;
    if (rounds_ > 20'000) cancel();
  }
  void leave() { --tree_.cancellers; }

 private:
  tree& tree_;
  h::any_task root_;
  random_source random_;
  const bool announced_;
  const unsigned times_;
  int rounds_ = 0;
};

h::task<> cancel_from_a_task(canceller c) {
  for (auto n = c.times(); n != 0; --n) {
    co_await h::sleep(c.pause());
    c.cancel();
  }
  while (!c.over()) {
    co_await h::sleep(1ms);
    c.help();
  }
  c.leave();
}
void cancel_from_a_thread(canceller c) {
  for (auto n = c.times(); n != 0; --n) {
    std::this_thread::sleep_for(c.pause());
    c.cancel();
  }
  while (!c.over()) {
    std::this_thread::sleep_for(1ms);
    c.help();
  }
  c.leave();
}

struct verdict {
  int without_cause = 0, too_often = 0, lost = 0, left_over = 0, wrong = 0, told = 0;
  [[nodiscard]] bool holds() const {
    return without_cause + too_often + lost + left_over + wrong == 0;
  }
};

/// `announced`: whoever cancels says so before. If not, the checks must notice.
h::task<verdict> a_round(std::uint64_t seed, bool announced) {
  constexpr std::size_t count = 6;
  random_source random(seed);
  std::vector<std::unique_ptr<tree>> trees;
  std::vector<h::task_handle<>> roots, others;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    auto& t = *trees.emplace_back(std::make_unique<tree>());
    t.cancellers = 2;
    roots.push_back(h::create_task(grow(t, random.next())));
    while (!t.begun) co_await h::yield_now();  // what is cancelled before it begins never runs
    canceller first(t, roots.back(), random.next(), announced);
    canceller second(t, roots.back(), random.next(), announced);
    others.push_back(h::create_task(cancel_from_a_task(std::move(first))));
    if (i % 3 == 0)
      threads.emplace_back(cancel_from_a_thread, std::move(second));
    else
      others.push_back(h::create_task(cancel_from_a_task(std::move(second))));
  }
  for (auto& r : roots) co_await r;
  for (auto& o : others) co_await o;
  threads.clear();
  verdict v;
  for (const auto& t : trees) {
    v.without_cause += t->without_cause;
    v.too_often += t->too_often;
    v.lost += t->lost;
    v.left_over += t->left_over;
    v.wrong += t->wrong;
    v.told += t->told;
  }
  co_return v;
}

TEST_P(StrandsStress, EachIsToldOnceACauseAndNoRequestIsLeftOver) {
  int told = 0;
  for (int i = 0; i < support::rounds(100); ++i) {
    const auto seed = static_cast<std::uint64_t>(i) + 1;
    const verdict v = run(a_round(seed, true));
    told += v.told;
    ASSERT_EQ(v.without_cause, 0) << "seed " << seed << ": cancelled without a cause";
    ASSERT_EQ(v.too_often, 0) << "seed " << seed << ": told more often than there were causes";
    ASSERT_EQ(v.lost, 0) << "seed " << seed << ": a strand was not told";
    ASSERT_EQ(v.left_over, 0) << "seed " << seed << ": requests do not add up";
    ASSERT_EQ(v.wrong, 0) << "seed " << seed;
  }
  EXPECT_GT(told, 0);
}

TEST_P(StrandsStress, ACancellationThatNobodyOwnsUpToIsNoticed) {
  bool noticed = false;
  for (std::uint64_t seed = 1; seed <= 50 && !noticed; ++seed)
    noticed = !run(a_round(seed, false)).holds();
  EXPECT_TRUE(noticed);
}

}  // namespace
