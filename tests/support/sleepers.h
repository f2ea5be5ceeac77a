// SPDX-License-Identifier: MIT
// The protocol LOOK-TWICE of idle.h, in the steps that search.cpp takes, over the real idle_set:
// whatever is sent while loops search, give up and fall asleep is taken. Under real threads in
// sched/idle_stress.cpp, in every order of its atomic operations that a seed draws in
// sched/idle_simulate.cpp; with a planted fault in one step or another, an item must be found that
// lies there while everybody sleeps.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/random.h>
#include <heddle/sched/loop/idle.h>

#include <cstdint>
#include <deque>

namespace sleepers {

using heddle::detail::atomic;
using heddle::detail::idle_set;
using heddle::detail::random_source;
using heddle::detail::relaxed;
using heddle::detail::seq_cst;

struct looks_twice {
  static constexpr bool own = true;
  static constexpr bool shared = true;
  static constexpr bool doubts = true;
};
/// Sleeps without a second look at what was sent to it.
struct looks_once : looks_twice {
  static constexpr bool own = false;
};
/// A searcher that gives up sleeps without a second look at what senders left to it.
struct trusts_the_other_searchers : looks_twice {
  static constexpr bool shared = false;
};
/// A loop that was refused as a searcher leaves what was sent to the searchers, although there may
/// be none any more when it is asleep.
struct trusts_a_refusal : looks_twice {
  static constexpr bool doubts = false;
};

/// `World` has a thread, which joins at its end, a bell (ring(), wait()), and yield().
template <class Policy, class World>
class dormitory {
 public:
  dormitory(unsigned loops, std::uint64_t seed) : idle_(loops), all_(loops), random_(seed) {
    for (unsigned i = 0; i < loops; ++i) threads_.emplace_back([this, i, seed] { live(i, seed); });
  }
  dormitory(const dormitory&) = delete;
  ~dormitory() {
    end_.store(true, seq_cst);
    for (auto& s : all_) s.bell.ring();
    threads_.clear();
  }

  /// Sends `n` items and waits until all are taken. False: one lies there, and everybody sleeps.
  [[nodiscard]] bool send(std::uint32_t n) {
    const auto loops = static_cast<std::uint32_t>(all_.size());
    for (std::uint32_t i = 0; i < n; ++i) {
      send_one(random_.below(2 * loops));
      // Now and then at the very moment when somebody falls asleep, now and then later.
      for (auto k = random_.below(4); k > 0; --k) World::yield();
    }
    while (taken_.load(seq_cst) != sent_.load(seq_cst)) {
      if (lost()) return false;
      World::yield();
    }
    return true;
  }

  /// All sleep, and nobody sends: what the set counts is what it should be.
  [[nodiscard]] bool is_at_rest() {
    while (!all_sleep()) World::yield();
    return idle_.searching() == 0 && idle_.all_parked() && idle_.wants_waking();
  }

 private:
  enum class state { awake, parked, notified };
  struct sleeper {
    atomic<int> own{0};  // sent to it alone
    atomic<state> how{state::awake};
    atomic<bool> blocked{false};
    atomic<int> rung{0};  // and not yet heard
    typename World::bell bell;
  };

  // What is sent is counted by a seq_cst read-modify-write and the sender looks afterwards, as in
  // worker::send_pinned and send_movable.
  void send_one(std::uint32_t where) {
    sent_.fetch_add(1, seq_cst);
    if (where < all_.size()) {
      all_[where].own.fetch_add(1, seq_cst);
      wake(where);
    } else {
      shared_.fetch_add(1, seq_cst);
      wake_taken(idle_.take_for_search(where % static_cast<unsigned>(all_.size())));
    }
  }
  void wake(unsigned i) {
    auto expected = state::parked;
    if (!all_[i].how.compare_exchange_strong(expected, state::notified, seq_cst, relaxed)) return;
    all_[i].rung.fetch_add(1, seq_cst);
    all_[i].bell.ring();
  }
  void wake_taken(unsigned i) {
    if (i != idle_set::nobody) wake(i);
  }
  /// As a searcher that has found work.
  void pass_on(unsigned me) {
    const auto next =
        idle_.stop_searching_and_pass_on(static_cast<std::size_t>(shared_.load(relaxed)), me);
    wake_taken(next.first);
    wake_taken(next.second);
  }

  static bool take(atomic<int>& from) {
    int n = from.load(seq_cst);
    while (n > 0)
      if (from.compare_exchange_weak(n, n - 1, seq_cst, seq_cst)) return true;
    return false;
  }

  void live(unsigned me, std::uint64_t seed) {
    random_source random(seed * 100 + me);
    sleeper& self = all_[me];
    bool searching = false;
    while (!end_.load(seq_cst)) {
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
        if (!found) World::yield();  // a sender that comes now relies on this searcher
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
        World::yield();
      }
      self.how.store(state::parked, seq_cst);  // announced ...
      idle_.park(me);
      searched |= Policy::doubts && !idle_.anybody_searches();
      const bool work =  // ... and looked again
          (Policy::own && self.own.load(seq_cst) > 0) ||
          (Policy::shared && searched && shared_.load(seq_cst) > 0);
      if (!work && !end_.load(seq_cst)) {
        self.blocked.store(true, seq_cst);
        self.bell.wait();
        self.blocked.store(false, seq_cst);
        awakenings_.fetch_add(1, seq_cst);
        self.rung.fetch_sub(1, seq_cst);
      }
      self.how.exchange(state::awake, seq_cst);
      searching = idle_.unpark(me);
    }
    if (searching) (void)idle_.stop_searching();
  }

  /// Some items send others, so that loops send too.
  void run(random_source& random) {
    if (random.below(4) == 0) send_one(random.below(2 * static_cast<std::uint32_t>(all_.size())));
    taken_.fetch_add(1, seq_cst);
  }

  /// No sleeper is awake, and no bell is on its way to one: nothing changes any more until a task
  /// is sent. The order of the reads counts: a sleeper that is woken lowers `blocked` first and
  /// `rung` last.
  [[nodiscard]] bool all_sleep() const {
    const auto before = awakenings_.load(seq_cst);
    for (auto& s : all_)
      if (!s.blocked.load(seq_cst)) return false;
    for (auto& s : all_)
      if (s.rung.load(seq_cst) != 0) return false;
    return awakenings_.load(seq_cst) == before;
  }
  [[nodiscard]] bool lost() const {
    return all_sleep() && taken_.load(seq_cst) != sent_.load(seq_cst);
  }

  idle_set idle_;
  atomic<int> shared_{0};  // anybody's
  atomic<std::uint64_t> sent_{0}, taken_{0}, awakenings_{0};
  atomic<bool> end_{false};
  std::deque<sleeper> all_;
  random_source random_;
  std::deque<typename World::thread> threads_;
};

}  // namespace sleepers
