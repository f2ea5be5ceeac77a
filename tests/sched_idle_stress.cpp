// SPDX-License-Identifier: MIT
// The protocol LOOK-TWICE of idle.h under several threads: whatever is sent while loops search, give up and fall asleep is taken. The sleepers
// here go through the same steps as search.cpp's, over the real idle_set, on a bell in place of a reactor; with a planted fault in
// one step or another, the same check must find an item that lies there while everybody sleeps.
#include <heddle/core/random.h>
#include <heddle/sched/idle.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace {

using heddle::detail::idle_set;
using heddle::detail::random_source;
using namespace std::chrono_literals;

struct looks_twice {
  static constexpr bool own = true;
  static constexpr bool shared = true;
};
/// Sleeps without a second look at what was sent to it.
struct looks_once {
  static constexpr bool own = false;
  static constexpr bool shared = true;
};
/// A searcher that gives up sleeps without a second look at what senders left to it.
struct trusts_the_other_searchers {
  static constexpr bool own = true;
  static constexpr bool shared = false;
};

template <class Policy>
class sleepers {
 public:
  sleepers(unsigned loops, std::uint64_t seed) : idle_(loops), all_(loops), random_(seed) {
    for (unsigned i = 0; i < loops; ++i) threads_.emplace_back([this, i, seed] { live(i, seed); });
  }
  sleepers(const sleepers&) = delete;
  ~sleepers() {
    end_ = true;
    for (auto& s : all_) s.bell.release();
    for (auto& t : threads_) t.join();
  }

  /// Sends `n` items and waits until all are taken. False: one lies there, and everybody sleeps.
  [[nodiscard]] bool send(std::uint32_t n) {
    const auto loops = static_cast<std::uint32_t>(all_.size());
    for (std::uint32_t i = 0; i < n; ++i) {
      send_one(random_.below(2 * loops));
      // Now and then at the very moment when somebody falls asleep, now and then later.
      for (auto k = random_.below(4); k > 0; --k) std::this_thread::yield();
    }
    while (taken_ != sent_) {
      if (lost()) return false;
      std::this_thread::yield();
    }
    return true;
  }

 private:
  enum class state { awake, parked, notified };
  struct sleeper {
    std::atomic<int> own{0};  // sent to it alone
    std::atomic<state> how{state::awake};
    std::atomic<bool> blocked{false};
    std::atomic<int> rung{0};  // and not yet heard
    std::counting_semaphore<> bell{0};
  };

  // What is sent is counted by a seq_cst read-modify-write and the sender looks afterwards, as in worker::send_pinned and send_movable.
  void send_one(std::uint32_t where) {
    sent_.fetch_add(1);
    if (where < all_.size()) {
      all_[where].own.fetch_add(1);
      wake(where);
    } else {
      shared_.fetch_add(1);
      wake_searcher();
    }
  }
  void wake(unsigned i) {
    auto expected = state::parked;
    if (!all_[i].how.compare_exchange_strong(expected, state::notified)) return;
    all_[i].rung.fetch_add(1);
    all_[i].bell.release();
  }
  void wake_searcher() { wake_taken(idle_.take_for_search()); }
  void wake_taken(unsigned i) {
    if (i != idle_set::nobody) wake(i);
  }
  /// As a searcher that has found work.
  void pass_on(unsigned me) {
    const auto next =
        idle_.stop_searching_and_pass_on(static_cast<std::size_t>(shared_.load()), me);
    wake_taken(next.first);
    wake_taken(next.second);
  }

  static bool take(std::atomic<int>& from) {
    int n = from.load();
    while (n > 0)
      if (from.compare_exchange_weak(n, n - 1)) return true;
    return false;
  }

  void live(unsigned me, std::uint64_t seed) {
    random_source random(seed * 100 + me);
    sleeper& self = all_[me];
    bool searching = false;
    while (!end_) {
      // What it has of its own comes first; one that was woken to search stands down for it.
      if (take(self.own)) {
        if (searching) pass_on(me);
        searching = false;
        run(random);
        continue;
      }
      bool searched = false;
      if (searching || idle_.try_search()) {
        const bool found = take(shared_);
        if (!found) std::this_thread::yield();  // a sender that comes now relies on this searcher
        searching = false;
        if (!found) {
          (void)idle_.stop_searching();
        } else {
          pass_on(me);
          run(random);
          continue;
        }
        searched = true;
      } else {
        std::this_thread::yield();
      }
      self.how.store(state::parked);  // announced ...
      idle_.park(me);
      searched |= !idle_.anybody_searches();
      const bool work =  // ... and looked again
          (Policy::own && self.own.load() > 0) ||
          (Policy::shared && searched && shared_.load() > 0);
      if (!work && !end_) {
        self.blocked = true;
        self.bell.acquire();
        self.blocked = false;
        awakenings_.fetch_add(1);
        self.rung.fetch_sub(1);
      }
      self.how.exchange(state::awake);
      searching = idle_.unpark(me);
    }
    if (searching) (void)idle_.stop_searching();
  }

  /// Some items send others, so that loops send too.
  void run(random_source& random) {
    if (random.below(4) == 0) send_one(random.below(2 * static_cast<std::uint32_t>(all_.size())));
    taken_.fetch_add(1);
  }

  /// Nobody is awake, and no bell is on its way to anybody: nothing changes any more unless somebody sends. Read in this order, since one who
  /// is woken lowers `blocked` first and `rung` last.
  [[nodiscard]] bool lost() const {
    const auto before = awakenings_.load();
    for (auto& s : all_)
      if (!s.blocked) return false;
    for (auto& s : all_)
      if (s.rung != 0) return false;
    return awakenings_ == before && taken_ != sent_;
  }

  idle_set idle_;
  std::atomic<int> shared_{0};  // anybody's
  std::atomic<std::uint64_t> sent_{0}, taken_{0}, awakenings_{0};
  std::atomic<bool> end_{false};
  std::deque<sleeper> all_;
  random_source random_;
  std::vector<std::thread> threads_;
};

/// How many loops sleep.
class IdleStress : public testing::TestWithParam<unsigned> {};

TEST_P(IdleStress, WhateverIsSentWhileLoopsFallAsleepIsTaken) {
  const auto seed = std::uint64_t{std::random_device{}()};
  sleepers<looks_twice> all(GetParam(), seed);
  for (int round = 0; round < support::rounds(3000); ++round)
    ASSERT_TRUE(all.send(1 + static_cast<std::uint32_t>(round) % 4))
        << "seed " << seed << ", round " << round;
}

/// Whether it loses something within a minute.
template <class Policy>
bool loses_one(unsigned loops) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  for (std::uint64_t seed = 1; std::chrono::steady_clock::now() < end; ++seed) {
    sleepers<Policy> all(loops, seed);
    for (std::uint32_t round = 0; round < 200; ++round)
      if (!all.send(1 + round % 4)) return true;
  }
  return false;
}

TEST_P(IdleStress, APlantedFaultInTheSecondLookAtOnesOwnIsNoticed) {
  EXPECT_TRUE(loses_one<looks_once>(GetParam()));
}

TEST_P(IdleStress, APlantedFaultInTheLastSearchersSecondLookIsNoticed) {
  EXPECT_TRUE(loses_one<trusts_the_other_searchers>(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Loops, IdleStress, ::testing::Values(1u, 2u, 8u),
                         [](const auto& p) { return std::to_string(p.param); });

}  // namespace
