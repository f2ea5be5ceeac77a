// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/thread_pool.h>

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/base/thread_state.h>
#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/core/scheduler.h>
#include <heddle/sched/loop/histogram_cells.h>
#include <heddle/sched/loop/probes.h>
#include <heddle/sched/loop/trace_ring.h>
#include <heddle/sched/runtime/pool_seat.h>
#include <heddle/sched/runtime/thread_manners.h>
#include <heddle/sched/simulation/simulation.h>

#include <oneapi/tbb/task_arena.h>
#include <pthread.h>
#include <time.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace heddle::detail {
namespace {

constexpr unsigned most_threads = 1u << 22;  // as many as the kernel ever allows (PID_MAX_LIMIT)
constexpr duration look_for = std::chrono::microseconds(20);  // at most, before a thread sleeps
constexpr duration soon = std::chrono::microseconds(50);  // a sleep so short was hardly worth it
constexpr unsigned short_sleeps_for_credit = 8;
constexpr std::uint64_t measured_every = 64;  // jobs: one of them tells how long it waited

[[noreturn]] void throw_closed() {
  detail::throw_usage("a job for a pool of threads that was shut down");
}

}  // namespace

// What a change of the queue asks for, to be done without its lock.
struct thread_pool::help {
  seat* sleeper = nullptr;
  bool start = false;
};

struct thread_pool::parts {
  parts(unsigned threads, unsigned slots, duration idle, unsigned niceness)
      : most(threads), arena_slots(slots), manners(niceness), idle_for(idle) {}

  // `self` keeps it for as long as the thread lives.
  using thread_map = std::map<std::uint64_t, std::thread>;
  static void main(const std::shared_ptr<parts>& self, std::uint64_t number) noexcept;
  /// Returns the threads that ended before this one: the caller is to join them.
  [[nodiscard]] static thread_map work(const std::shared_ptr<parts>& self,
                                       std::uint64_t number) noexcept;
  static void send(const std::shared_ptr<parts>& self, help h) noexcept;
  [[nodiscard]] help without_a_thread(offload_job*& stranded) noexcept;
  [[nodiscard]] bool start_thread(const std::shared_ptr<parts>& self, bool first_one);
  [[nodiscard]] task_record* run(offload_job& j) noexcept;
  [[nodiscard]] task_record* execute(offload_job& j) const noexcept;
  bool shutdown(time_point limit) noexcept;
  enum class next { job, idle_for_long, closed };
  [[nodiscard]] static next take(const std::shared_ptr<parts>& self, seat& s,
                                 offload_job*& j) noexcept;
  [[nodiscard]] help help_wanted() noexcept;
  [[nodiscard]] bool look() const noexcept;
  [[nodiscard]] bool sleep(seat& s) const noexcept;
  void will_look(seat& s) noexcept;
  void look_no_more(seat& s) noexcept;

  const unsigned most;
  const unsigned arena_slots;
  const thread_manners manners;
  const duration idle_for;  // a thread that had nothing to do for so long ends
  // The queue, under queue_lock. Nothing blocks or calls out while it is held.
  spin_lock queue_lock;
  offload_job* first = nullptr;
  offload_job* last = nullptr;
  seat* sleepers =
      nullptr;  // the one that slept last comes first: it is warm, and the others may end
  unsigned looking = 0;
  unsigned alive = 0;          // threads, those about to be made included
  std::uint64_t given = 0;     // jobs, so far
  std::uint64_t taken = 0;     // of these, by threads, or stranded
  histogram_cells waited;      // of one job in measured_every
  atomic<bool> queued{false};  // first is not null: for who looks without the lock
  atomic<bool> closed{false};  // written under both locks

  // Taken by those who begin and end threads. Nothing that may block is done under it but the
  // making of a thread.
  std::mutex lock;
  thread_map threads;  // under lock
  thread_map ended;    // under lock: the last one that was idle for long, to be joined
  std::uint64_t next_number = 0;
  bool given_up = false;    // under lock: threads that did not end in time were detached
  std::size_t working = 0;  // under lock: threads that have not left work()
  std::condition_variable left_work;
  std::once_flag arena_made;
  std::optional<tbb::task_arena> arena;
  // When it is simulated: jobs for which there is no virtual thread yet, and how many of these
  // there are.
  std::deque<offload_job*> waiting;
  unsigned running = 0;
};

thread_pool::thread_pool(unsigned n, unsigned arena_slots, duration idle, unsigned niceness)
    : simulated_(simulation::here()),
      parts_(std::make_shared<parts>(checked<unsigned>(n, "the number of threads", 1, most_threads),
                                     arena_slots, idle, niceness)) {}

thread_pool::~thread_pool() { (void)shutdown(); }

// A virtual thread for each job, as many as there may be threads; one that ends a job takes the
// next.
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
      // Also those of the arena, whose workers would be threads of the machine.
      if (task_record* waits = here.execute(*next)) schedule(*waits);
      simulated_->point();
    }
    --here.running;
  });
}

void thread_pool::submit(offload_job& j) {
  if (simulated_) return submit_simulated(j);
  ring_note(trace_event::job_queued, reinterpret_cast<std::uintptr_t>(&j));
  auto& p = *parts_;
  for (;;) {
    {
      std::unique_lock hold(p.queue_lock);
      if (p.closed.load(relaxed)) throw_closed();
      if (p.alive != 0) {
        j.next = nullptr;
        (p.first ? p.last->next : p.first) = &j;
        p.last = &j;
        p.queued.store(true, relaxed);
        if (p.given++ % measured_every == 0) [[unlikely]]
          j.queued_at = clock::now();
        const help h = p.help_wanted();
        hold.unlock();
        return parts::send(parts_, h);
      }
    }
    // The first thread: whether there can be one has to be known before the job is given away.
    std::lock_guard hold(p.lock);
    if (!p.start_thread(parts_, true)) throw_closed();
  }
}

// Under the queue's lock.
thread_pool::help thread_pool::parts::help_wanted() noexcept {
  if (!first || looking != 0) return {};
  if (seat* s = sleepers) {
    sleepers = s->below;
    s->sleeps = false;
    ++looking;  // it does, from now on
    return {.sleeper = s};
  }
  if (alive == most || closed.load(relaxed)) return {};
  ++alive;
  ++looking;
  return {.start = true};
}

void thread_pool::parts::send(const std::shared_ptr<parts>& self, help h) noexcept {
  if (h.sleeper) sem_post(&h.sleeper->woken);
  if (!h.start) return;
  std::exception_ptr error;
  try {
    std::lock_guard hold(self->lock);
    if (self->start_thread(self, false)) return;
    throw_closed();
  } catch (...) { error = std::current_exception(); }
  offload_job* stranded = nullptr;
  const help instead = self->without_a_thread(stranded);
  if (instead.sleeper) sem_post(&instead.sleeper->woken);
  while (stranded) {
    offload_job& j = *std::exchange(stranded, stranded->next);
    if (task_record* waits = j.refuse(error)) schedule(*waits);
  }
}

// There will be no thread although one was counted as looking. Jobs that came meanwhile have sent
// nobody, since they relied on that thread. So another one is sent now: the sleeper, or, if all
// threads run jobs, the next that ends one. If no thread is left, `stranded` is all that is queued.
thread_pool::help thread_pool::parts::without_a_thread(offload_job*& stranded) noexcept {
  std::lock_guard hold(queue_lock);
  --alive;
  --looking;
  if (!first || looking != 0) return {};
  if (sleepers) return help_wanted();
  if (alive != 0) return {};
  stranded = std::exchange(first, nullptr);
  taken = given;
  queued.store(false, relaxed);
  return {};
}

// Under `lock`. `first_one`: unless there is one by now; it is counted here, since jobs rely on
// threads that are counted.
//
// A thread that has ended is not joined here: it may need `lock` to come to its end, and the
// destructors of its thread-locals, which are the user's, may take as long as they like. The next
// thread that ends joins it (main), and shutdown the last.
bool thread_pool::parts::start_thread(const std::shared_ptr<parts>& self, bool first_one) {
  if (closed.load(relaxed)) return false;
  if (first_one) {
    std::lock_guard hold(queue_lock);
    if (alive != 0) return true;
  }
  const auto number = next_number++;
  const auto at =
      threads.try_emplace(number).first;  // memory first: behind the thread nothing may fail
  try {
    at->second = std::thread([self, number] { main(self, number); });
  } catch (...) {
    threads.erase(at);
    throw;
  }
  ++working;
  pthread_setname_np(at->second.native_handle(), "heddle-pool");
  if (first_one) {
    std::lock_guard hold(queue_lock);
    ++alive;
    ++looking;
  }
  return true;
}

// While a job runs its thread knows for which pool.
task_record* thread_pool::parts::execute(offload_job& j) const noexcept {
  const auto* outside = std::exchange(this_thread().pool, this);
  const auto name = reinterpret_cast<std::uintptr_t>(&j);
  if (auto* ring = this_world() ? nullptr : make_ring_of_this_thread(ring_owner::pool))
    ring->note(trace_event::job_begins, name);
  probes::job_begins(&j);
  task_record* waits = j.execute();  // after this the job may be gone
  probes::job_ends(reinterpret_cast<const void*>(name));
  ring_note(trace_event::job_ends, name);
  this_thread().pool = outside;
  return waits;
}

bool thread_pool::is_in_own_job() const noexcept { return this_thread().pool == parts_.get(); }

task_record* thread_pool::parts::run(offload_job& j) noexcept {
  if (!j.in_arena) return execute(j);
  try {
    std::call_once(arena_made, [&] { arena.emplace(saturated<int>(arena_slots)); });
  } catch (...) { return j.refuse(std::current_exception()); }
  // The arena may hand the call to a thread of its own and wait for it. That orders the two
  // threads, but inside libtbb, which ThreadSanitizer does not see: so it is said once more here.
  atomic<unsigned> turn{0};
  task_record* waits = nullptr;
  turn.store(1, release);
  try {
    arena->execute([&] {
      (void)turn.load(acquire);
      waits = execute(j);
      turn.store(2, release);
    });
  } catch (...) {  // no memory to hand the call over
    if (turn.load(acquire) != 2) return j.refuse(std::current_exception());
  }
  (void)turn.load(acquire);
  return waits;
}

void thread_pool::parts::main(const std::shared_ptr<parts>& self, std::uint64_t number) noexcept {
  self->manners.take();
  { std::lock_guard hold(self->lock); }  // its starter has counted it
  auto before = work(self, number);
  {
    std::lock_guard hold(self->lock);
    --self->working;
    self->left_work.notify_all();
  }
  // With no lock held, and by a thread for which nobody waits but the next one: each joins one that
  // ended before it.
  for (auto& [its_number, t] : before) t.join();
}

thread_pool::parts::thread_map thread_pool::parts::work(const std::shared_ptr<parts>& self,
                                                        std::uint64_t number) noexcept {
  auto& p = *self;
  seat s;
  s.looking = true;  // its starter has counted that too
  for (;;) {
    offload_job* j = nullptr;
    switch (take(self, s, j)) {
      case next::job:
        if (task_record* waits = p.run(*j)) {
          p.will_look(s);
          schedule(*waits);
        }
        break;
      case next::idle_for_long: {
        std::lock_guard hold(p.lock);
        if (p.closed.load(relaxed)) return {};  // shutdown() joins it
        auto before = std::exchange(p.ended, {});
        p.ended.insert(p.threads.extract(number));  // moves its node, which needs no memory
        return before;
      }
      case next::closed: return {};
    }
  }
}

// What is queued comes before the end, also when the pool is closed.
thread_pool::parts::next thread_pool::parts::take(const std::shared_ptr<parts>& self, seat& s,
                                                  offload_job*& j) noexcept {
  auto& p = *self;
  bool looked = false;  // since it began, or was last woken
  for (;;) {
    std::unique_lock hold(p.queue_lock);
    if (p.first) {
      j = p.first;
      p.first = j->next;
      p.queued.store(p.first != nullptr, relaxed);
      ++p.taken;
      if (j->queued_at != time_point()) [[unlikely]]
        p.waited.add(clock::now() - j->queued_at);
      p.look_no_more(s);
      const help h = p.help_wanted();
      hold.unlock();
      send(self, h);
      if (looked) s.credit = seat::most_credit;
      return next::job;
    }
    if (p.closed.load(relaxed)) {
      p.look_no_more(s);
      return next::closed;
    }
    if (!looked && s.credit != 0 && p.looking == (s.looking ? 1u : 0u)) {
      if (!s.looking) ++p.looking;
      s.looking = true;
      hold.unlock();
      looked = true;
      if (!p.look()) --s.credit;
      continue;
    }
    p.look_no_more(s);
    s.sleeps = true;
    s.below = p.sleepers;
    p.sleepers = &s;
    hold.unlock();
    const auto began = clock::now();
    if (!p.sleep(s)) {
      hold.lock();
      if (s.sleeps) {
        seat** at = &p.sleepers;
        while (*at != &s) at = &(*at)->below;
        *at = s.below;
        s.sleeps = false;
        if (p.first) continue;  // given to a thread that is being made, and may not come
        --p.alive;
        return next::idle_for_long;
      }
      hold.unlock();
      while (sem_wait(&s.woken) != 0) {}  // somebody has just taken it out, and posts; or EINTR
    }
    s.looking = true;  // counted by who woke it
    looked = false;
    if (clock::now() - began < soon && s.credit == 0 &&
        ++s.short_sleeps % short_sleeps_for_credit == 0)
      s.credit = 1;
  }
}

// True: there may be something.
bool thread_pool::parts::look() const noexcept {
  const auto limit = clock::now() + look_for;
  do {
    for (int i = 0; i < 8; ++i) {
      if (queued.load(relaxed) || closed.load(relaxed)) return true;
      cpu_relax();
    }
  } while (clock::now() < limit);
  return false;
}

// False: nobody woke it for so long.
bool thread_pool::parts::sleep(seat& s) const noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  timespec until;
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  const auto ns = until.tv_nsec + idle_for.count() % second;
  until.tv_sec += idle_for.count() / second + ns / second;
  until.tv_nsec = ns % second;
  for (;;) {
    if (sem_clockwait(&s.woken, CLOCK_MONOTONIC, &until) == 0) return true;
    if (errno != EINTR) return false;
  }
}

void thread_pool::parts::will_look(seat& s) noexcept {
  std::lock_guard hold(queue_lock);
  if (first || looking != 0) return;
  ++looking;
  s.looking = true;
}

void thread_pool::parts::look_no_more(seat& s) noexcept {
  if (s.looking) --looking;
  s.looking = false;
}

bool thread_pool::parts::shutdown(time_point limit) noexcept {
  thread_map going, gone;
  bool all_left;
  {
    std::unique_lock hold(lock);
    {
      std::lock_guard closing(queue_lock);
      closed.store(true, relaxed);
      for (; sleepers; sleepers = sleepers->below) {
        sleepers->sleeps = false;
        ++looking;
        sem_post(&sleepers->woken);
      }
    }
    const auto over = [this] { return working == 0 || given_up; };
    if (limit == time_point::max()) {
      left_work.wait(hold, over);
    } else {
      while (!over()) {
        const auto left = time_left(limit, clock::now());
        if (left == duration::zero()) break;
        left_work.wait_for(hold, std::min<duration>(left, std::chrono::hours(1)));
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
  for (auto& [number, t] : gone) t.join();
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

pool_metrics thread_pool::measured() const {
  pool_metrics m;
  m.most_threads = parts_->most;
  parts_->waited.add_to(m.wait);
  const std::lock_guard hold(parts_->queue_lock);
  m.threads = parts_->alive;
  m.jobs = parts_->given;
  m.queued = parts_->given - parts_->taken;
  return m;
}

bool thread_pool::is_busy() const noexcept {
  auto& p = *parts_;
  std::lock_guard hold(p.queue_lock);
  unsigned idle = p.looking;
  for (const seat* s = p.sleepers; s; s = s->below) ++idle;
  return p.first != nullptr || p.alive > idle;
}

unsigned thread_pool::threads() const noexcept {
  std::lock_guard hold(parts_->lock);
  return narrow<unsigned>(parts_->threads.size());
}

}  // namespace heddle::detail
