// SPDX-License-Identifier: MIT
// Queues under random cancellations.
#include "sync/stress.h"

#include <heddle/sync/queue.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace stress;

class QueueStress : public conserves {};
HEDDLE_AT_LOOPS(QueueStress);

// --- queue ---

/// A queue of int, unbounded, whose getters look again. With DropsWake a getter that is cancelled
/// after it was woken does not wake the next one.
template <bool DropsWake>
class simple_queue {
  struct looking {
    static constexpr const char* name = "simple queue";
    simple_queue* q;
    [[nodiscard]] wait_queue& queue() noexcept { return q->getters_; }
    [[nodiscard]] bool try_now() noexcept { return false; }
    [[nodiscard]] bool wait_in(waiter& w, task_record& t) noexcept {
      q->getters_.lock();
      const bool waits = q->items_.empty() && q->getters_.suspend(w, t);
      q->getters_.unlock();
      return waits;
    }
    void give_back() noexcept {
      if (!DropsWake) q->wake();
    }
    void result() noexcept {}
  };

 public:
  h::task<> put(int item) {
    getters_.lock();
    items_.push_back(item);
    getters_.unlock();
    wake();
    co_return;
  }
  h::task<int> get() {
    for (;;) {
      auto look = operation<looking>(looking{this});
      co_await look;
      getters_.lock();
      if (items_.empty()) {
        getters_.unlock();
        continue;
      }
      const int item = items_.front();
      items_.pop_front();
      getters_.unlock();
      co_return item;
    }
  }
  [[nodiscard]] std::size_t size() noexcept {
    getters_.lock();
    const auto n = items_.size();
    getters_.unlock();
    return n;
  }

 private:
  void wake() noexcept {
    task_record* t = nullptr;
    getters_.lock();
    if (!items_.empty())
      if (waiter* w = getters_.claim_first()) {
        w->given = true;
        t = w->task;
      }
    getters_.unlock();
    if (t) schedule(*t);
  }

  wait_queue getters_;
  std::deque<int> items_;
};

/// Getters that want one item each, and some of them are cancelled just when they may have been
/// woken. A cancelled one is gone, so only the wake that it passes on lets another have the item:
/// none may be left while somebody waits.
template <class Queue>
h::task<verdict> check_queue(std::uint64_t seed, h::duration patience) {
  constexpr int getters = 8, items = 6;
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    Queue q;
    std::atomic<int> got{0};
    std::atomic<long> sum{0}, progress{0};
    auto get = [](Queue& qq, std::atomic<int>& n, std::atomic<long>& s) -> h::task<> {
      s += co_await qq.get();
      ++n;
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < getters; ++i) {
      all.push_back(h::create_task(get(q, got, sum)));
      co_await until_waiting(all.back());
    }
    long put = 0;
    for (int i = 1; i <= items; ++i) {
      co_await q.put(i);
      put += i;
      if (random() % 2 == 0)
        all[static_cast<std::size_t>(i - 1)]
            .cancel();  // the one that was just woken, if it has not run yet
      if (random() % 4 == 0) co_await h::yield_now();
    }
    const auto waiting = [&] {
      int n = 0;
      for (auto& t : all) n += t.done() ? 0 : 1;
      return n;
    };
    const auto since = h::clock::now();
    while (q.size() > 0 && waiting() > 0 && h::clock::now() - since < patience)
      co_await h::yield_now();
    const bool in_time = q.size() == 0 || waiting() == 0;
    std::atomic<bool> stop{false};
    (void)co_await all_end(all, progress, stop, 1 << 30, seed, forever);
    if (!in_time) co_return "somebody sleeps beside an item";
    for (int left = static_cast<int>(q.size()); left > 0; --left) {
      sum += co_await q.get();
      ++got;
    }
    if (got != items || sum != put) co_return "items: " + std::to_string(got);
  }
  co_return "";
}

TEST_P(QueueStress, AQueueLosesNoItemAndNobodySleepsBesideOne) {
  holds(check_queue<h::queue<int>>);
}
TEST_P(QueueStress, ALifoQueueLosesNoItemAndNobodySleepsBesideOne) {
  holds(check_queue<h::lifo_queue<int>>);
}
TEST_P(QueueStress, APriorityQueueLosesNoItemAndNobodySleepsBesideOne) {
  holds(check_queue<h::priority_queue<int>>);
}
TEST_P(QueueStress, TheSimplestQueueIsRightToo) { holds(check_queue<simple_queue<false>>); }
TEST_P(QueueStress, ADroppedWakeOfACancelledGetterIsNoticed) {
  is_noticed(check_queue<simple_queue<true>>);
}

/// Bounded, with putters and getters cancelled alike: what was put and not got is in the queue.
h::task<verdict> check_bounded_queue(std::uint64_t seed, h::duration patience) {
  h::queue<int> q(2);
  std::atomic<long> in{0}, out{0}, count_in{0}, count_out{0}, progress{0};
  std::atomic<bool> stop{false};
  auto put = [](h::queue<int>& qq, std::atomic<long>& s, std::atomic<long>& n, std::atomic<long>& p,
                std::atomic<bool>& end, int who) -> h::task<> {
    for (int i = 1; i <= 60 && !end; ++i) try {
        co_await qq.put(who * 1000 + i);
        s += who * 1000 + i;
        ++n;
        ++p;
      } catch (const h::cancelled_error&) { ++p; }
  };
  auto get = [](h::queue<int>& qq, std::atomic<long>& s, std::atomic<long>& n, std::atomic<long>& p,
                std::atomic<bool>& end) -> h::task<> {
    while (!end) try {
        s += co_await qq.get();
        ++n;
        ++p;
      } catch (const h::cancelled_error&) { ++p; }
  };
  std::vector<h::task_handle<void>> makers, takers;
  for (int i = 0; i < 6; ++i)
    takers.push_back(h::create_task(get(q, out, count_out, progress, stop)));
  for (int i = 0; i < 6; ++i)
    makers.push_back(h::create_task(put(q, in, count_in, progress, stop, i)));
  for (auto& t : takers) co_await until_waiting(t);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100; ++i) {
    takers[random() % takers.size()].cancel();
    co_await h::yield_now();
  }
  const bool in_time = co_await all_end(makers, progress, stop, 100, seed, patience);
  stop = true;
  (void)co_await all_end(takers, progress, stop, 1 << 30, seed, forever);
  if (!in_time) co_return "somebody hangs";
  while (auto left = q.try_get()) {
    out += *left;
    ++count_out;
  }
  if (count_in != count_out || in != out)
    co_return "put " + std::to_string(count_in) + ", got " + std::to_string(count_out);
  co_return "";
}

TEST_P(QueueStress, ABoundedQueueConservesItemsWhenPuttersAreCancelledToo) {
  holds(check_bounded_queue);
}

}  // namespace
