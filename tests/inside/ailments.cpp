// SPDX-License-Identifier: MIT
// Programs in which something is wrong, for `heddle why` and `heddle doctor`.
#include "programs.h"

#include <heddle/core/errors.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace inside {

using namespace std::chrono_literals;

namespace {

/// They live as long as the process.
template <class T, class... A>
T& lasting(A&&... a) {
  return *new T(std::forward<A>(a)...);
}

h::event& never() {
  static auto& e = lasting<h::event>();
  return e;
}

// --- owners: each locks, says so, and stays ---

h::task<> wants(h::mutex& m) { co_await m.lock(); }
h::task<> holds_guard(h::mutex& m, h::event& has) {
  const auto guard = co_await m.scoped_lock();
  has.set();
  co_await never().wait();
}
h::task<> holds_tried(h::mutex& m, h::event& has) {
  (void)m.try_lock();
  has.set();
  co_await never().wait();
}
h::task<> hands_over(h::mutex& m, h::event& has, h::event& go) {
  co_await m.lock();
  has.set();
  co_await go.wait();
  m.unlock();
}
h::task<> holds_again(h::mutex& m, h::condition& c, h::event& waits, h::event& has) {
  co_await m.lock();
  waits.set();
  co_await c.wait();
  has.set();
  co_await never().wait();
}
h::task<> strand_that_holds(h::mutex& m, h::event& has) {
  co_await h::yield_now();  // from here on it has a record of its own
  co_await m.lock();
  has.set();
  co_await never().wait();
}
h::task<> other_strand() { co_await never().wait(); }
h::task<> forks(h::mutex& m, h::event& has) {
  co_await h::fork_join(strand_that_holds(m, has), other_strand());
}
h::task<> leaves_locked(h::mutex& m) { co_await m.lock(); }
h::task<> locks_twice(h::mutex& m) {
  co_await m.lock();
  co_await m.lock();
}
h::task<> writes(h::shared_mutex& m, h::event& has) {
  co_await m.lock();
  has.set();
  co_await never().wait();
}
h::task<> reads(h::shared_mutex& m) { co_await m.lock_shared(); }

// --- circles ---

h::task<> link(h::mutex& own, h::mutex& next, h::semaphore& locked, h::event& go) {
  const auto first = co_await own.scoped_lock();
  locked.release();
  co_await go.wait();
  const auto second = co_await next.scoped_lock();
}
h::task<> awaits_with_lock(h::mutex& m, h::task_handle<> t, h::event& has) {
  const auto guard = co_await m.scoped_lock();
  has.set();
  co_await t;
}
h::task<> locks_after(h::mutex& m, h::event& go) {
  co_await go.wait();
  const auto guard = co_await m.scoped_lock();
}
h::task<> writes_then_locks(h::shared_mutex& own, h::mutex& next, h::event& has, h::event& go) {
  const auto guard = co_await own.scoped_lock();
  has.set();
  co_await go.wait();
  const auto second = co_await next.scoped_lock();
}
h::task<> locks_then_reads(h::mutex& own, h::shared_mutex& next, h::event& has, h::event& go) {
  const auto guard = co_await own.scoped_lock();
  has.set();
  co_await go.wait();
  const auto second = co_await next.scoped_lock_shared();
}
h::task<> puts_with_lock(h::mutex& m, h::queue<int>& q, h::event& has) {
  const auto guard = co_await m.scoped_lock();
  has.set();
  for (int i = 0;; ++i) co_await q.put(i);
}
h::task<> takes_with_lock(h::mutex& m, h::queue<int>& q) {
  for (;;) {
    const auto guard = co_await m.scoped_lock();
    (void)co_await q.get();
  }
}
h::task<> with_limit(h::mutex& own, h::mutex& next, h::semaphore& locked, h::event& go) {
  auto body = [&]() -> h::task<> { co_await link(own, next, locked, go); };
  co_await h::timeout(1h, body);
}

// --- what has no owner ---

h::task<> has_permit(h::semaphore& s, h::event& has) {
  const auto permit = co_await s.scoped_acquire();
  has.set();
  co_await never().wait();
}
h::task<> had_permit(h::semaphore& s, h::event& had) {
  co_await s.acquire();
  s.release();
  had.set();
  co_await never().wait();
}
h::task<> wants_permit(h::semaphore& s) { co_await s.acquire(); }
h::task<> awaits(h::future<int> f) { (void)co_await f; }
h::task<> will_set(h::promise<int> p, h::event& has) {
  has.set();
  co_await never().wait();
  p.set_value(1);
}
h::future<int> of_lost_promise() {
  auto* const p = new h::promise<int>;
  return p->get_future();
}
void keep_reader(const char* name) { keep(name, awaits(of_lost_promise())); }
h::task<> sets_in_a_job(h::promise<int> p) {
  auto job = h::to_thread([p = std::move(p)]() mutable {
    const h::promise<int> own = std::move(p);
    for (;;) ::pause();
  });
  co_await std::move(job);
}
h::promise<int>& static_promise() {
  static h::promise<int> p;
  return p;
}
h::task<> puts(h::queue<int>& q) {
  for (int i = 0;; ++i) co_await q.put(i);
}

/// An awaiter that forgets its task.
struct forgets {
  static bool await_ready() noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) {
    (void)h.promise().suspending(h);
  }
  static void await_resume() noexcept {}
};
h::task<> is_forgotten() {
  forgets f;
  co_await f;
}

h::task<> swallows(h::event& begun) {
  begun.set();
  try {
    co_await never().wait();
  } catch (const h::cancelled_error&) {}
  co_await never().wait();
}
h::task<> fails() {
  co_await h::yield_now();
  throw std::runtime_error("nobody asks");
}
void blocks() {
  for (;;) ::pause();
}
h::task<> in_thread() {
  auto job = h::to_thread(blocks);
  co_await std::move(job);
}

// --- a server that is well ---

h::task<> passes_on(h::queue<int>& from, h::queue<int>& to) {
  for (;;) {
    const int n = co_await from.get();
    co_await to.put(n);
  }
}
h::task<> begins(h::queue<int>& to, h::mutex& m) {
  for (int i = 0;; ++i) {
    {
      const auto guard = co_await m.scoped_lock();
      co_await h::yield_now();
    }
    co_await to.put(i);
    co_await h::sleep(1ms);
  }
}
h::task<> drops(h::queue<int>& from, h::mutex& m) {
  for (;;) {
    (void)co_await from.get();
    const auto guard = co_await m.scoped_lock();
    co_await h::yield_now();
  }
}

}  // namespace

h::task<> owners(int) {
  auto* const m = new h::mutex[9];
  auto* const has = new h::event[9];
  auto& c = lasting<h::condition>(m[3]);
  auto& go = lasting<h::event>();
  auto& waits = lasting<h::event>();
  auto& s = lasting<h::shared_mutex>();
  keep("guard", holds_guard(m[0], has[0]));
  keep("tried", holds_tried(m[1], has[1]));
  keep("giver", hands_over(m[2], has[2], go));
  co_await has[2].wait();
  keep("given", holds_guard(m[2], has[7]));
  co_await h::sleep(1ms);
  go.set();
  co_await has[7].wait();
  keep("again", holds_again(m[3], c, waits, has[3]));
  co_await waits.wait();
  co_await m[3].lock();  // it waits in the condition
  c.notify();
  m[3].unlock();
  keep("forker", forks(m[4], has[4]));
  (void)h::current_loop().call_soon([m] { (void)m[5].try_lock(); });
  while (!m[5].locked()) co_await h::sleep(1ms);
  co_await m[6].lock();
  m[6].unlock();
  co_await h::create_task(leaves_locked(m[7]));
  keep("twice", locks_twice(m[8]));
  keep("writer", writes(s, has[5]));
  for (const int i : {0, 1, 3, 4, 5}) co_await has[i].wait();
  const char* const names[] = {"guard?", "tried?", "given?", "again?", "forker?", "callback?"};
  for (int i = 0; i < 6; ++i) keep(names[i], wants(m[i]));
  keep("unlocked", holds_guard(m[6], has[6]));
  co_await has[6].wait();
  keep("unlocked?", wants(m[6]));
  keep("left?", wants(m[7]));
  keep("reader?", reads(s));
  co_await never().wait();
}

h::task<> circles(int n) {
  auto* const m = new h::mutex[static_cast<std::size_t>(n) + 8];
  auto* const has = new h::event[8];
  auto& locked = lasting<h::semaphore>(0);
  auto& go = lasting<h::event>();
  auto& s = lasting<h::shared_mutex>();
  auto& q = lasting<h::queue<int>>(2);
  for (int i = 0; i < n; ++i)
    keep("link-" + std::to_string(i), link(m[i], m[(i + 1) % n], locked, go));
  for (int i = 0; i < n; ++i) co_await locked.acquire();
  keep("joined", locks_after(m[n], go));
  keep("joiner", awaits_with_lock(m[n], kept().back(), has[0]));
  keep("writer", writes_then_locks(s, m[n + 1], has[1], go));
  keep("reader", locks_then_reads(m[n + 1], s, has[2], go));
  keep("putter", puts_with_lock(m[n + 2], q, has[3]));
  keep("limited", with_limit(m[n + 3], m[n + 4], locked, go));
  keep("patient", link(m[n + 4], m[n + 3], locked, go));
  for (int i = 0; i < 4; ++i) co_await has[i].wait();
  for (int i = 0; i < 2; ++i) co_await locked.acquire();
  keep("taker", takes_with_lock(m[n + 2], q));
  go.set();
  co_await never().wait();
}

h::task<> ownerless(int) {
  auto& s = lasting<h::semaphore>(1);
  auto& none = lasting<h::semaphore>(1);
  auto* const has = new h::event[3];
  keep("holder", has_permit(s, has[0]));
  co_await has[0].wait();
  keep("permit?", wants_permit(s));
  keep("before", had_permit(none, has[1]));
  co_await has[1].wait();
  (void)none.try_acquire();
  keep("none?", wants_permit(none));
  h::promise<int> p;
  keep("future?", awaits(p.get_future()));
  keep("setter", will_set(std::move(p), has[2]));
  h::promise<int> of_job;
  keep("job?", awaits(of_job.get_future()));
  keep("jobber", sets_in_a_job(std::move(of_job)));
  keep("static?", awaits(static_promise().get_future()));
  keep_reader("lost?");
  keep("forgotten", is_forgotten());
  co_await never().wait();
}

h::task<> full_pool(int n) {
  for (int i = 0; i < n; ++i) keep("job-" + std::to_string(i), in_thread());
  co_await never().wait();
}

// A chat server: two rooms that lock each other, a log whose taker is one of them, and a reader
// whose promise is lost.
h::task<> ailing(int n) {
  auto* const m = new h::mutex[3];
  auto& locked = lasting<h::semaphore>(0);
  auto& go = lasting<h::event>();
  auto& begun = lasting<h::event>();
  auto& log = lasting<h::queue<int>>(4);
  keep("lobby>games", link(m[0], m[1], locked, go));
  keep("games>lobby", link(m[1], m[0], locked, go));
  for (int i = 0; i < 2; ++i) co_await locked.acquire();
  go.set();
  keep("log", puts(log));
  keep_reader("reader");
  co_await h::create_task(leaves_locked(m[2]));
  keep("orphan", wants(m[2]));
  keep("stubborn", swallows(begun));
  const auto stubborn = kept().back();
  co_await begun.wait();
  stubborn.cancel();
  keep("failed", fails());
  if (n != 0) {  // descriptors
    const rlimit few{static_cast<rlim_t>(n), static_cast<rlim_t>(n)};
    (void)::setrlimit(RLIMIT_NOFILE, &few);
    while (::dup(0) >= 0) {}
  }
  co_await never().wait();
}

namespace {

h::task<> yields_while(const std::atomic<bool>& on) {
  while (on) co_await h::yield_now();
}

}  // namespace

// Ready tasks become more for two seconds, and then end; again and again.
h::task<> floods(int) {
  auto& on = lasting<std::atomic<bool>>();
  for (;;) {
    std::vector<h::task_handle<>> all;
    on = true;
    for (int i = 0; i < 200; ++i) {
      for (int k = 0; k < 100; ++k) all.push_back(h::create_task(yields_while(on)));
      co_await h::sleep(10ms);
    }
    on = false;
    for (auto& t : all) co_await t;
  }
}

// The kernel refuses io_uring, as in many containers.
int falls_back(unsigned loops, int) {
  static sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{sizeof rules / sizeof rules[0], rules};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    return 1;
  ::unsetenv("HEDDLE_REACTOR");
  h::runtime runtime({.loops = loops});
  std::puts("begun");
  std::fflush(stdout);
  char byte;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {}
  return 0;
}

h::task<> healthy(int n) {
  auto& m = lasting<h::mutex>();
  std::vector<h::queue<int>*> lines;
  for (int i = 0; i <= n; ++i) lines.push_back(&lasting<h::queue<int>>(4));
  for (int i = 0; i < n; ++i)
    keep("passer",
         passes_on(*lines[static_cast<std::size_t>(i)], *lines[static_cast<std::size_t>(i) + 1]));
  keep("beginner", begins(*lines.front(), m));
  keep("dropper", drops(*lines.back(), m));
  co_await never().wait();
}

}  // namespace inside
