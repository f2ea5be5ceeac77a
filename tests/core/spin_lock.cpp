// SPDX-License-Identifier: MIT
// A thread that waits for a preempted one gives its processor away.
#include <heddle/core/base/spin_lock.h>
#include <heddle/core/future.h>
#include <heddle/core/record/eventual.h>
#include <heddle/core/record/task_record.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include <unistd.h>

namespace {

namespace h = heddle;
namespace d = heddle::detail;

/// How often a thread of this process has slept so far.
long sleeps(pid_t thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  const std::string name = "voluntary_ctxt_switches:";
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name)) return std::stol(line.substr(name.size()));
  return -1;
}

/// A thread calls `wait`. True: it has slept some ten times by itself, after which `let_go` was
/// called. False: not within a minute.
bool sleeps_in(const std::function<void()>& wait, const std::function<void()>& let_go) {
  std::atomic<pid_t> waiter_id{0};
  std::thread waiter([&] {
    waiter_id = ::gettid();
    wait();
  });
  while (waiter_id == 0) std::this_thread::yield();
  const long before = sleeps(waiter_id);
  bool slept = false;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!slept && std::chrono::steady_clock::now() < limit) {
    slept = sleeps(waiter_id) >= before + 10;
    std::this_thread::yield();
  }
  let_go();
  waiter.join();
  return slept;
}

TEST(SpinLock, AWaiterOfAHeldLockSleepsInTheEnd) {
  d::spin_lock l;
  l.lock();
  EXPECT_TRUE(sleeps_in([&] { l.lock(); }, [&] { l.unlock(); }));
  EXPECT_FALSE(l.try_lock());
}

TEST(SpinLock, AWaiterForAllWorldsSleepsToo) {
  d::spin_lock l;
  l.lock_for_all_worlds();
  EXPECT_TRUE(sleeps_in([&] { l.lock_for_all_worlds(); }, [&] { l.unlock(); }));
}

/// A joiner whose firing, which happens under the joiner lock, takes as long as the test likes.
class slow_joiner : public d::join_node {
 public:
  slow_joiner() : join_node(&fire) {}
  std::atomic<bool> inside{false}, may_end{false};

 private:
  static void fire(d::join_node& n, d::eventual&, d::work_list&) noexcept {
    auto& self = static_cast<slow_joiner&>(n);
    self.inside = true;
    while (!self.may_end) std::this_thread::yield();
  }
};

TEST(SpinLock, AWaiterOfAJoinerLockSleepsInTheEnd) {
  h::promise<int> p;
  auto f = p.get_future();
  slow_joiner slow, other;
  ASSERT_TRUE(f.state().add_joiner(slow));
  std::thread ender([&] { p.set_value(1); });
  while (!slow.inside) std::this_thread::yield();
  EXPECT_TRUE(sleeps_in([&] { (void)f.state().add_joiner(other); }, [&] { slow.may_end = true; }));
  ender.join();
}

TEST(SpinLock, AWaiterSpinsAndYieldsABoundedNumberOfTimes) {
  d::backoff wait;
  int pauses = 0;
  for (; !wait.sleeps(); ++pauses) wait.pause();
  EXPECT_LE(pauses, 64);
  const long before = sleeps(::gettid());
  wait.pause();
  EXPECT_GE(sleeps(::gettid()) - before, 1);
}

}  // namespace
