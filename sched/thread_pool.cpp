// SPDX-License-Identifier: MIT
#include <heddle/sched/thread_pool.h>

#include <heddle/core/errors.h>
#include <heddle/sched/simulation.h>

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <oneapi/tbb/task_arena.h>
#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <condition_variable>
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

[[noreturn]] void throw_closed() {
  detail::throw_usage("a job for a pool of threads that was shut down");
}

constexpr std::int64_t idle_limit_us =
    10'000'000;  // a thread that had nothing to do for so long ends

}  // namespace

struct thread_pool::parts {
  parts(unsigned threads, unsigned slots) : most(threads), arena_slots(slots) {}

  // `self` keeps it for as long as the thread lives.
  static void main(const std::shared_ptr<parts>& self, std::uint64_t number) noexcept;
  void work(std::uint64_t number) noexcept;
  void start_thread(const std::shared_ptr<parts>& self);
  void run(offload_job& j) noexcept;
  bool shutdown(time_point limit) noexcept;

  const unsigned most;
  const unsigned arena_slots;
  atomic<std::int64_t> idle{0};
  moodycamel::BlockingConcurrentQueue<offload_job*, queue_traits>
      queue;  // nullptr: look whether the pool is closed
  std::mutex lock;
  std::map<std::uint64_t, std::thread> threads;  // under lock
  std::vector<std::thread> ended;                // under lock: to be joined
  std::uint64_t next_number = 0;
  atomic<bool> closed{false};  // written under lock
  bool given_up = false;       // under lock: threads that did not end in time were detached
  std::size_t working = 0;     // under lock: threads that have not left work()
  std::condition_variable left_work;
  std::once_flag arena_made;
  std::optional<tbb::task_arena> arena;
  // When it is simulated: jobs for which there is no virtual thread yet, and how many of these there are.
  std::deque<offload_job*> waiting;
  unsigned running = 0;
};

thread_pool::thread_pool(unsigned most, unsigned arena_slots)
    : simulated_(simulation::here()), parts_(std::make_shared<parts>(most, arena_slots)) {}

thread_pool::~thread_pool() {
  (void)shutdown();
  {
    std::lock_guard hold(parts_->lock);
    if (parts_->given_up) return;  // a thread still works, and does what is queued
  }
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
  if (p.closed.load(relaxed)) throw_closed();
  p.waiting.push_back(&j);
  if (p.running >= p.most) return;
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
  if (p.closed.load(acquire)) throw_closed();  // pairs with shutdown()
  if (p.idle.load(relaxed) <=
      0) {  // likely to need a thread: find out before the job is given away whether there can be one
    std::lock_guard hold(p.lock);
    if (p.closed.load(relaxed)) throw_closed();
    if (p.threads.empty()) p.start_thread(parts_);
  }
  p.queue.enqueue(&j);
  const bool promised =
      p.idle.fetch_sub(1, seq_cst) > 0;        // pairs with work(): a thread is on its way
  if (p.closed.load(seq_cst) && j.cancel()) {  // perhaps too late for the last thread to see it
    j.ref();                                   // the queue keeps its own
    throw_closed();
  }
  if (promised) return;
  std::lock_guard hold(p.lock);
  if (p.threads.size() >= p.most || p.idle.load(relaxed) >= 0 || p.closed.load(relaxed)) return;
  try {
    p.start_thread(parts_);
  } catch (const std::system_error&) {
    // There is at least one thread; it will come to this job in its turn.
  }
}

void thread_pool::parts::start_thread(const std::shared_ptr<parts>& self) {
  for (auto& t : ended) t.join();
  ended.clear();
  const auto number = next_number++;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the process's own threads
  try {
    idle.fetch_add(1, acq_rel);
    auto [at, made] = threads.emplace(number, std::thread([self, number] { main(self, number); }));
    ++working;
    pthread_setname_np(at->second.native_handle(), "heddle-pool");
  } catch (...) {
    idle.fetch_sub(1, acq_rel);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void thread_pool::parts::run(offload_job& j) noexcept {
  if (!j.in_arena) return j.execute();
  std::call_once(arena_made, [&] { arena.emplace(static_cast<int>(arena_slots)); });
  // The arena may hand the call to a thread of its own and wait for it. That orders the two threads, but inside libtbb, which
  // ThreadSanitizer does not see: so it is said once more here.
  atomic<unsigned> turn{0};
  turn.store(1, release);
  arena->execute([&] {
    (void)turn.load(acquire);
    j.execute();
    turn.store(2, release);
  });
  (void)turn.load(acquire);
}

void thread_pool::parts::main(const std::shared_ptr<parts>& self, std::uint64_t number) noexcept {
  self->work(number);
  std::lock_guard hold(self->lock);
  --self->working;
  self->left_work.notify_all();
}

// A new thread was counted idle by its starter.
void thread_pool::parts::work(std::uint64_t number) noexcept {
  for (;;) {
    offload_job* j = nullptr;
    if (queue.wait_dequeue_timed(j, idle_limit_us)) {
      if (j) {
        run(*j);
        idle.fetch_add(1, acq_rel);
        continue;
      }
      // Closing: what is queued is done first, then the next thread is told.
      while (queue.try_dequeue(j))
        if (j) run(*j);
      queue.enqueue(nullptr);
      return;
    }
    auto n = idle.load(relaxed);
    bool off = false;
    while (n > 0 && !off) off = idle.compare_exchange_weak(n, n - 1, acq_rel, relaxed);
    if (!off) continue;  // a job is promised to this thread
    std::lock_guard hold(lock);
    if (closed.load(relaxed)) return;  // shutdown() joins it
    auto self = threads.find(number);
    ended.push_back(std::move(self->second));
    threads.erase(self);
    return;
  }
}

bool thread_pool::parts::shutdown(time_point limit) noexcept {
  std::map<std::uint64_t, std::thread> going;
  std::vector<std::thread> gone;
  bool all_left;
  {
    std::unique_lock hold(lock);
    if (!closed.exchange(true, seq_cst)) queue.enqueue(nullptr);
    const auto over = [this] { return working == 0 || given_up; };
    if (limit == time_point::max()) {
      left_work.wait(hold, over);
    } else {
      while (!over()) {
        const auto left = limit - clock::now();
        if (left <= duration::zero()) break;
        left_work.wait_for(hold, left);
      }
    }
    all_left = working == 0;
    given_up = !all_left;
    left_work.notify_all();  // whoever waits without a limit waits no longer
    going.swap(threads);
    gone.swap(ended);
  }
  for (auto& [number, t] : going) {
    if (all_left)
      t.join();
    else
      t.detach();
  }
  for (auto& t : gone) t.join();
  return all_left;
}

bool thread_pool::shutdown(time_point limit) noexcept {
  if (!simulated_) return parts_->shutdown(limit);
  auto& p = *parts_;
  p.closed.store(true, relaxed);
  return block_until(*simulated_, limit, [&] { return p.running == 0; }, when_stuck::abandoned);
}

void thread_pool::shutdown_beside(time_point limit, std::function<void(bool)> done) {
  if (simulated_) return done(shutdown(limit));
  std::thread([p = parts_, limit, f = std::move(done)] { f(p->shutdown(limit)); }).detach();
}

unsigned thread_pool::threads() const noexcept {
  std::lock_guard hold(parts_->lock);
  return static_cast<unsigned>(parts_->threads.size());
}

}  // namespace heddle::detail
