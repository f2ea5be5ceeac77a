// SPDX-License-Identifier: MIT
#include <heddle/sched/thread_pool.h>

#include <heddle/core/errors.h>
#include <heddle/sched/simulation.h>

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <oneapi/tbb/task_arena.h>
#include <pthread.h>
#include <signal.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace heddle::detail {
namespace {

struct queue_traits : moodycamel::ConcurrentQueueDefaultTraits {
  // The default of 10000 spins a thread for tens of microseconds before each sleep; a sleeping thread is the normal case here.
  static const int MAX_SEMA_SPINS = 200;
};

constexpr std::int64_t idle_limit_us =
    10'000'000;  // a thread that had nothing to do for so long ends

}  // namespace

struct thread_pool::parts {
  moodycamel::BlockingConcurrentQueue<offload_job*, queue_traits>
      queue;  // nullptr: look whether the pool is closed
  std::mutex lock;
  std::map<std::uint64_t, std::thread> threads;  // under lock
  std::vector<std::thread> ended;                // under lock: to be joined
  std::uint64_t next_number = 0;
  bool closed = false;
  std::once_flag arena_made;
  std::optional<tbb::task_arena> arena;
  // When it is simulated: jobs for which there is no virtual thread yet, and how many of these there are.
  std::deque<offload_job*> waiting;
  unsigned running = 0;
};

thread_pool::thread_pool(unsigned most, unsigned arena_slots)
    : most_(most),
      arena_slots_(arena_slots),
      simulated_(simulation::here()),
      parts_(std::make_unique<parts>()) {}

thread_pool::~thread_pool() {
  shutdown();
  offload_job* j = nullptr;
  while (
      parts_->queue.try_dequeue(j)) {  // given while the pool closed: nobody waits for it any more
    if (!j) continue;
    (void)j->cancel();
    j->unref();
  }
}

// A virtual thread for each job, as many as there may be threads; one that ends a job takes the next.
void thread_pool::submit_simulated(offload_job& j) {
  auto& p = *parts_;
  if (p.closed) throw usage_error("to_thread after the runtime has shut down");
  p.waiting.push_back(&j);
  if (p.running >= most_) return;
  ++p.running;
  (void)simulated_->start("to_thread", [this] {
    auto& here = *parts_;
    while (!here.waiting.empty()) {
      offload_job* next = here.waiting.front();
      here.waiting.pop_front();
      simulated_->note("runs a job", nullptr);
      next->execute();  // also those of the arena, whose workers would be threads of the machine
      simulated_->point();
    }
    --here.running;
  });
}

void thread_pool::submit(offload_job& j) {
  if (simulated_) return submit_simulated(j);
  auto& p = *parts_;
  if (idle_.load(relaxed) <=
      0) {  // likely to need a thread: find out before the job is given away whether there can be one
    std::lock_guard hold(p.lock);
    if (p.closed) throw usage_error("to_thread after the runtime has shut down");
    if (p.threads.empty()) start_thread();
  }
  p.queue.enqueue(&j);
  if (idle_.fetch_sub(1, acq_rel) > 0) return;  // pairs with main(): a thread is on its way
  std::lock_guard hold(p.lock);
  if (p.threads.size() >= most_ || idle_.load(relaxed) >= 0 || p.closed) return;
  try {
    start_thread();
  } catch (const std::system_error&) {
    // There is at least one thread; it will come to this job in its turn.
  }
}

void thread_pool::start_thread() {
  auto& p = *parts_;
  for (auto& t : p.ended) t.join();
  p.ended.clear();
  const auto number = p.next_number++;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the process's own threads
  try {
    idle_.fetch_add(1, acq_rel);
    auto [at, made] = p.threads.emplace(number, std::thread([this, number] { main(number); }));
    pthread_setname_np(at->second.native_handle(), "heddle-pool");
  } catch (...) {
    idle_.fetch_sub(1, acq_rel);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void thread_pool::run(offload_job& j) noexcept {
  if (!j.in_arena) return j.execute();
  auto& p = *parts_;
  std::call_once(p.arena_made, [&] { p.arena.emplace(static_cast<int>(arena_slots_)); });
  // The arena may hand the call to a thread of its own and wait for it. That orders the two threads, but inside libtbb, which
  // ThreadSanitizer does not see: so it is said once more here.
  atomic<unsigned> turn{0};
  turn.store(1, release);
  p.arena->execute([&] {
    (void)turn.load(acquire);
    j.execute();
    turn.store(2, release);
  });
  (void)turn.load(acquire);
}

// A new thread was counted idle by its starter.
void thread_pool::main(std::uint64_t number) noexcept {
  auto& p = *parts_;
  for (;;) {
    offload_job* j = nullptr;
    if (p.queue.wait_dequeue_timed(j, idle_limit_us)) {
      if (j) {
        run(*j);
        idle_.fetch_add(1, acq_rel);
        continue;
      }
      // Closing: what is queued is done first, then the next thread is told.
      while (p.queue.try_dequeue(j))
        if (j) run(*j);
      p.queue.enqueue(nullptr);
      return;
    }
    auto idle = idle_.load(relaxed);
    bool off = false;
    while (idle > 0 && !off) off = idle_.compare_exchange_weak(idle, idle - 1, acq_rel, relaxed);
    if (!off) continue;  // a job is promised to this thread
    std::lock_guard hold(p.lock);
    if (p.closed) return;  // shutdown() joins it
    auto self = p.threads.find(number);
    p.ended.push_back(std::move(self->second));
    p.threads.erase(self);
    return;
  }
}

void thread_pool::shutdown() noexcept {
  auto& p = *parts_;
  {
    std::lock_guard hold(p.lock);
    if (p.closed) return;
    p.closed = true;
  }
  if (simulated_) {
    block_until(
        *simulated_, time_point::max(), [&] { return p.running == 0; }, when_stuck::abandoned);
    return;
  }
  p.queue.enqueue(nullptr);
  for (auto& [number, t] : p.threads) t.join();  // nobody changes the map any more
  for (auto& t : p.ended) t.join();
  p.threads.clear();
  p.ended.clear();
}

unsigned thread_pool::threads() const noexcept {
  std::lock_guard hold(parts_->lock);
  return static_cast<unsigned>(parts_->threads.size());
}

}  // namespace heddle::detail
