// SPDX-License-Identifier: MIT
// A pool that can make no thread for want of memory, at the moments at which jobs rely on it.
#include "memory/shortage.h"

#include <heddle/sched/runtime/thread_pool.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <utility>

namespace {

using namespace std::chrono_literals;
using namespace memory;

enum class fate { unknown, begun, ran, failed };

/// A job whose end is written down: it ran, or it was refused with std::bad_alloc.
class watched_job final : public h::detail::offload_job {
 public:
  watched_job(std::atomic<fate>& told, const std::atomic<bool>* until)
      : told_(told), until_(until) {}

 private:
  void invoke() override {
    told_ = fate::begun;
    while (until_ && !*until_) std::this_thread::yield();
    told_ = fate::ran;
  }
  void refused() noexcept override {
    try {
      std::rethrow_exception(error_);
    } catch (const std::bad_alloc&) { told_ = fate::failed; } catch (...) {
    }
  }
  std::atomic<fate>& told_;
  const std::atomic<bool>* const until_;
};

void wait_until(const auto& condition) {
  for (int i = 0; i < 20'000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(condition());
}
/// The only thread is in a job when a second job comes, for which no thread can be made. While the
/// making fails the first job ends, and a third one comes.
struct scene {
  explicit scene(h::duration idle) : pool(2, 1, idle) {}

  h::detail::thread_pool pool;
  std::atomic<bool> go{false};
  std::atomic<fate> first{fate::unknown}, second{fate::unknown}, third{fate::unknown};
  watched_job* late = nullptr;

  void play(void (*meanwhile)()) {
    pool.submit(*new watched_job(first, &go));
    wait_until([&] { return first == fate::begun; });
    auto* next = new watched_job(second, nullptr);
    late = new watched_job(third, nullptr);
    call_where_it_fails(meanwhile);
    begin({1, 1});
    pool.submit(*next);
    EXPECT_EQ(end(), 1u) << "the second thread has been made";
    call_where_it_fails(nullptr);
    go = true;
  }
};
scene* played = nullptr;

void give_from_elsewhere(scene& s) {
  std::thread([&s] { s.pool.submit(*s.late); }).join();
}

TEST(MemoryOfAPool, IsShortWhenTheOnlyThreadHasJustEnded) {
  scene s(1us);
  played = &s;
  s.play([] {
    auto& now = *played;
    now.go = true;
    wait_until([&] { return now.second == fate::ran; });
    // It sleeps for a microsecond and ends; of that nothing is told but by what it does not do.
    std::this_thread::sleep_for(100ms);
    give_from_elsewhere(now);
  });
  EXPECT_EQ(s.first, fate::ran);
  EXPECT_EQ(s.second, fate::ran);
  EXPECT_EQ(s.third, fate::failed);
  EXPECT_TRUE(s.pool.shutdown());
}

TEST(MemoryOfAPool, IsShortWhileTheOnlyThreadSleeps) {
  scene s(1h);
  played = &s;
  s.play([] {
    auto& now = *played;
    now.go = true;
    wait_until([&] { return now.second == fate::ran; });
    std::this_thread::sleep_for(100ms);  // it looks for 20 us, and then sleeps for an hour
    give_from_elsewhere(now);
  });
  wait_until([&] { return s.third == fate::ran; });
  EXPECT_TRUE(s.pool.shutdown());
}

TEST(MemoryOfAPool, IsShortWhenTheOnlyThreadIsAboutToEnd) {
  scene s(200ms);
  played = &s;
  s.play([] {
    auto& now = *played;
    now.go = true;
    wait_until([&] { return now.second == fate::ran; });
    std::this_thread::sleep_for(50ms);
    give_from_elsewhere(now);
    wait_until([&] { return now.third == fate::ran; });  // by the thread that would have ended
  });
  EXPECT_EQ(s.third, fate::ran);
  EXPECT_TRUE(s.pool.shutdown());
}

}  // namespace
