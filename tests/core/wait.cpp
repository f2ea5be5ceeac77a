// SPDX-License-Identifier: MIT
// Protocol WAIT on a hand-made executor: a gate that hands permits over, with the faults that the
// model of the protocol names.
#include "core/pool.h"

#include <heddle/core/record/budget.h>

#include <atomic>
#include <memory>
#include <optional>

namespace {

using namespace support;
using heddle::cancelled_error;
using heddle::task;

struct right {
  static constexpr bool gives_back = true;
};
struct drops_the_give_back {
  static constexpr bool gives_back = false;
};

/// Permits on a wait_queue, with the lock for everything: the protocol and nothing else.
template <class Policy = right>
class gate {
 public:
  explicit gate(int permits) noexcept : free_(permits) {}

  class entering final : public queue_waiter {
   public:
    explicit entering(gate& g) noexcept : queue_waiter(g.queue_), gate_(g) {}
    static bool await_ready() noexcept { return false; }
    template <heddle_promise P>
    bool await_suspend(std::coroutine_handle<P> h) {
      auto& t = h.promise().suspending(h);
      gate_.queue_.lock();
      bool waits = false;
      if (gate_.free_ > 0)
        --gate_.free_;
      else
        waits = gate_.queue_.suspend(*this, t);
      gate_.queue_.unlock();
      return waits;
    }
    void await_resume() {
      if (!cancelled_at_resume(*this)) return;
      if (given && Policy::gives_back) gate_.leave();
      throw_cancelled(*task);
    }
    const char* name() const noexcept override { return "gate"; }

   private:
    gate& gate_;
  };

  entering enter() noexcept { return entering(*this); }
  void leave() noexcept {
    queue_.lock();
    waiter* next = queue_.claim_first();
    task_record* t = nullptr;
    if (next) {
      next->given = true;
      t = next->task;
    } else {
      ++free_;
    }
    queue_.unlock();
    if (t) schedule(*t);
  }
  [[nodiscard]] int free() const noexcept { return free_; }
  [[nodiscard]] bool nobody_waits() const noexcept { return queue_.empty(); }

 private:
  wait_queue queue_;
  int free_;
};

task<> pass(gate<>& g, std::vector<int>& log, int who) {
  co_await g.enter();
  log.push_back(who);
}

task<> pass_or_note(gate<>& g, std::vector<int>& log, int who) {
  try {
    co_await g.enter();
    log.push_back(who);
  } catch (const cancelled_error&) {
    log.push_back(-who);
    throw;
  }
}

TEST(Wait, WhoWaitsLongestGoesFirst) {
  pool p;
  gate<> g(0);
  std::vector<int> log;
  auto a = p.spawn(pass(g, log, 1));
  auto b = p.spawn(pass(g, log, 2));
  auto c = p.spawn(pass(g, log, 3));
  p.run_all();
  EXPECT_EQ(a.state(), task_state::leaf);
  for (int i = 0; i < 3; ++i) {
    g.leave();
    p.run_all();
  }
  EXPECT_EQ(log, (std::vector{1, 2, 3}));
  EXPECT_EQ(c->how_ended(), outcome::value);
}

TEST(Wait, ACancelledWaiterLeavesTheQueueAtOnce) {
  pool p;
  gate<> g(0);
  std::vector<int> log;
  auto a = p.spawn(pass_or_note(g, log, 1));
  auto b = p.spawn(pass_or_note(g, log, 2));
  p.run_all();
  EXPECT_TRUE(a.cancel());
  EXPECT_FALSE(a->done()) << "cancel must not run the task";
  g.leave();
  p.run_all();
  EXPECT_EQ(log, (std::vector{-1, 2}));
  EXPECT_EQ(a->how_ended(), outcome::cancelled);
  EXPECT_EQ(b->how_ended(), outcome::value);
}

TEST(Wait, ACancellationAfterTheHandOverIsDeliveredAndThePermitPassesOn) {
  pool p;
  gate<> g(0);
  std::vector<int> log;
  auto a = p.spawn(pass_or_note(g, log, 1));
  auto b = p.spawn(pass_or_note(g, log, 2));
  p.run_all();
  g.leave();  // a has it, and has not run
  EXPECT_TRUE(a.cancel());
  p.run_all();
  EXPECT_EQ(log, (std::vector{-1, 2}));
}

TEST(Wait, ACancellationAfterTheHandOverWithNobodyBehindLeavesThePermitFree) {
  pool p;
  gate<> g(0);
  std::vector<int> log;
  auto a = p.spawn(pass_or_note(g, log, 1));
  p.run_all();
  g.leave();
  EXPECT_TRUE(a.cancel());
  p.run_all();
  EXPECT_EQ(g.free(), 1);
}

TEST(Wait, ATaskThatIsCancelledWhileItRunsIsRefusedAtItsNextWait) {
  pool p;
  gate<> g(0);
  std::vector<int> log;
  auto a = p.spawn(pass_or_note(g, log, 1));
  EXPECT_TRUE(a.cancel());
  p.run_all();
  EXPECT_EQ(log, (std::vector{-1}));
  EXPECT_TRUE(g.nobody_waits());
}

TEST(Wait, AnOperationThatIsReadyIsNoCancellationPoint) {
  pool p;
  gate<> g(1);
  std::vector<int> log;
  auto a = p.spawn(pass(g, log, 1));
  EXPECT_TRUE(a.cancel());
  p.run_all();
  EXPECT_EQ(log, (std::vector{1}));
  EXPECT_EQ(a->how_ended(), outcome::cancelled)
      << "a pending cancellation turns a value into cancelled";
}

TEST(Wait, CancellingThreeTimesBeforeItRunsDeliversOnce) {
  pool p;
  gate<> g(0);
  int delivered = 0;
  auto body = [](gate<>& gg, int& n) -> task<> {
    for (int i = 0; i < 2; ++i) try {
        co_await gg.enter();
      } catch (const cancelled_error&) { ++n; }
  };
  auto a = p.spawn(body(g, delivered));
  p.run_all();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(a.cancel());
  EXPECT_EQ(word::requests(a->state().load()), 3u);
  p.run_all();
  EXPECT_EQ(delivered, 1);
  EXPECT_EQ(a.state(), task_state::leaf);
  EXPECT_TRUE(a.cancel());
  p.run_all();
  EXPECT_EQ(delivered, 2);
}

TEST(Wait, UncancelWithdrawsWhatHasNotClaimedAWait) {
  pool p;
  gate<> g(1);
  std::vector<int> log;
  auto a = p.spawn(pass_or_note(g, log, 1));
  EXPECT_TRUE(a.cancel());
  EXPECT_EQ(a->state().uncancel(), 0u);
  p.run_all();
  EXPECT_EQ(log, (std::vector{1}));
  EXPECT_EQ(a->how_ended(), outcome::value);
}

TEST(Wait, UncancelDoesNotWithdrawWhatHasClaimedAWait) {
  pool p;
  gate<> g(0);
  std::vector<int> log;
  auto a = p.spawn(pass_or_note(g, log, 1));
  p.run_all();
  EXPECT_TRUE(a.cancel());
  EXPECT_EQ(a->state().uncancel(), 0u);
  p.run_all();
  EXPECT_EQ(log, (std::vector{-1}));
}

TEST(Wait, ThePrimitiveMayLiveInTheFrameOfTheOneItWakes) {
  pool p;
  p.start(2);
  std::atomic<gate<>*> shared{nullptr};
  constexpr int rounds = 5'000;
  auto owner = [](std::atomic<gate<>*>& out) -> task<> {
    for (int i = 0; i < rounds; ++i) {
      gate<> mine(0);
      out.store(&mine, std::memory_order_release);
      co_await mine.enter();
    }
  };
  auto t = p.spawn(owner(shared));
  for (int i = 0; i < rounds; ++i) {
    gate<>* g;
    while (!(g = shared.exchange(nullptr, std::memory_order_acq_rel))) std::this_thread::yield();
    g->leave();
  }
  p.quiesce();
  EXPECT_TRUE(t->done());
}

TEST(WaitQueue, LinksBeforeAPlaceAndUnlinksFromAnywhere) {
  struct entry : queue_waiter {
    using queue_waiter::queue_waiter;
  };
  wait_queue q;
  entry a(q), b(q), c(q), d(q);
  q.link_before(a, nullptr);
  q.link_before(c, nullptr);
  q.link_before(b, &c);
  q.link_before(d, &a);
  std::vector<const waiter*> order;
  for (auto* w = q.first(); w; w = w->next) order.push_back(w);
  EXPECT_EQ(order, (std::vector<const waiter*>{&d, &a, &b, &c}));
  for (auto* w : {&b, &d, &c, &a}) q.unlink(*w);
  EXPECT_TRUE(q.empty());
}

TEST(WaitQueueDeathTest, DestroyingAPrimitiveInWhichTasksWaitIsABug) {
  struct entry : queue_waiter {
    using queue_waiter::queue_waiter;
  };
  EXPECT_DEATH(
      {
        auto* q = new wait_queue;
        auto* e = new entry(*q);
        q->link_before(*e, nullptr);
        delete q;
      },
      "destroyed while tasks wait");
}

struct stress_result {
  int inside_too_many = 0;  // more tasks inside than permits
  int permits = 0;          // free at the end
  bool all_done = false;    // nobody hangs
  long delivered = 0;       // cancellations
};

/// Tasks take and leave permits; threads cancel them at random. Permits must be conserved and every
/// task must end.
template <class Policy>
stress_result stress(unsigned threads, int tasks, int rounds, int permits, std::uint64_t seed) {
  pool p;
  gate<Policy> g(permits);
  std::atomic<int> inside{0}, too_many{0}, ended{0};
  std::atomic<long> delivered{0};
  std::vector<task_ref> all;
  auto body = [&](int self) -> task<> {
    std::mt19937_64 random(seed * 1000 + static_cast<std::uint64_t>(self));
    for (int i = 0; i < rounds; ++i) {
      try {
        co_await g.enter();
      } catch (const cancelled_error&) {
        ++delivered;
        continue;
      }
      if (++inside > permits) ++too_many;
      co_await p.yield();
      --inside;
      g.leave();
      if (random() % 2 == 0)
        all[random() % all.size()].cancel();  // perhaps the one that was just handed a permit
    }
    ++ended;
  };
  for (int i = 0; i < tasks; ++i) all.push_back(p.spawn(body(i)));
  std::atomic<bool> over{false};
  std::thread canceller([&] {
    std::mt19937_64 random(seed);
    while (!over.load()) {
      auto& t = all[random() % all.size()];
      t.cancel();
      if (random() % 4 == 0) std::this_thread::yield();
    }
  });
  p.start(threads);
  p.quiesce();
  over = true;
  canceller.join();
  p.quiesce();
  stress_result r;
  r.all_done = ended == tasks;
  for (auto& t : all)  // a faulty gate may leave some waiting for ever: let them end
    for (int i = 0; i < rounds + 1 && !t->done(); ++i) {
      t.cancel();
      p.quiesce();
    }
  r.inside_too_many = too_many;
  r.permits = g.free();
  r.delivered = delivered;
  return r;
}

class WaitStress : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Threads, WaitStress, testing::Values(1u, 2u, 8u));

TEST_P(WaitStress, PermitsAreConservedUnderRandomCancellations) {
  const auto seed = test_seed();
  SCOPED_TRACE("HEDDLE_TEST_SEED=" + std::to_string(seed));
  const auto r = stress<right>(GetParam(), 16, 400, 3, seed);
  EXPECT_EQ(r.inside_too_many, 0);
  EXPECT_EQ(r.permits, 3);
  EXPECT_TRUE(r.all_done);
  EXPECT_GT(r.delivered, 0);
}

TEST_P(WaitStress, ThePermitsNoticeADroppedGiveBack) {
  bool noticed = false;
  for (std::uint64_t seed = 1; seed < 200 && !noticed; ++seed) {
    const auto r = stress<drops_the_give_back>(GetParam(), 16, 100, 3, seed);
    noticed = r.permits != 3 || !r.all_done;
  }
  EXPECT_TRUE(noticed);
}

}  // namespace
