// SPDX-License-Identifier: MIT
// Programs whose tasks run, are ready, or are cancelled.
#include "programs.h"

#include <heddle/core/dump.h>
#include <heddle/core/errors.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/semaphore.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

namespace inside {

using namespace std::chrono_literals;

namespace {

h::event& never() {
  static auto* const e = new h::event;
  return *e;
}
h::task<> for_ever() { co_await never().wait(); }

/// Computes for ever. What it counts is volatile, so no compiler takes the loop away.
void compute() {
  for (volatile unsigned n = 0;;) n = n + 1;
}
h::task<> hog() {
  compute();
  co_return;
}

/// Takes `times` cancellations, and then cleans up for ever.
h::task<> cleans_up(h::event& begun, int times) {
  begun.set();
  for (int i = 0; i < times; ++i) {
    try {
      co_await never().wait();
    } catch (const h::cancelled_error&) {}
  }
  co_await never().wait();
}
h::task<> hog_that_tells(h::event& begun) {
  begun.set();
  compute();
  co_return;
}
h::task<> awaits(h::event& begun, h::task_handle<> t) {
  begun.set();
  co_await t;
}

h::task<> innermost(h::semaphore& s) {
  auto permit = co_await s.scoped_acquire();
  co_await h::yield_now();
}
h::task<> between(h::semaphore& s) { co_await innermost(s); }
h::task<> churns(h::semaphore& s) {
  for (;;) {
    co_await between(s);
    co_await innermost(s);
    co_await h::sleep(1us);
  }
}

h::task<> short_lived() { co_await h::yield_now(); }

}  // namespace

h::task<> hogged(int n) {
  static auto* const begun = new h::event;
  keep("waiter", cleans_up(*begun, 0));  // it waits before no loop is left to run it
  co_await begun->wait();
  for (int i = 0; i < n; ++i) keep("hog-" + std::to_string(i), hog());
  co_await never().wait();
}

h::task<> queued(int n) {
  // One loop: the hog runs, and behind it stand the others, in this order.
  keep("hog", hog());
  for (int i = 0; i < n; ++i) keep("ready-" + std::to_string(i), for_ever());
  co_await never().wait();
}

h::task<> cancelled(int loops) {
  static auto* const begun = new h::event[5];
  keep("cleaning", cleans_up(begun[0], 1));
  const auto cleaning = kept().back();
  keep("twice", cleans_up(begun[1], 2));
  const auto twice = kept().back();
  keep("inner", cleans_up(begun[2], 1));
  const auto inner = kept().back();
  keep("outer", awaits(begun[3], inner));
  const auto outer = kept().back();
  for (int i = 0; i < 4; ++i) co_await begun[i].wait();
  cleaning.cancel("too slow");
  twice.cancel();
  twice.cancel();
  outer.cancel();
  if (loops > 1) {  // with one loop nothing else would run any more
    keep("hog", hog_that_tells(begun[4]));
    const auto hog = kept().back();
    co_await begun[4].wait();
    hog.cancel();
  }
  co_await never().wait();
}

h::task<> churn(int n) {
  static auto* const permits = new h::semaphore(3);
  for (int i = 0; i < n; ++i) keep("churner", churns(*permits));
  co_await never().wait();
}

h::task<> odd_names(int) {
  keep("\x1b[31mred\x1b[0m\nline \"quoted\" \\ \xff\xfe", for_ever());
  keep(std::string(1 << 20, 'x'), for_ever());
  keep("", for_ever());
  keep("gr\xc3\xbc\xc3\x9f", for_ever());
  co_await never().wait();
}

h::task<> lives_again(int n) {
  keep("stays", for_ever());
  for (;;) {
    for (int i = 0; i < n; ++i) co_await h::create_task(short_lived());
    co_await h::sleep(1ms);
  }
}

namespace {

h::task<> in_second() {
  keep("second", for_ever());
  co_await never().wait();
}
void begin_and_end_runtimes() {
  for (;;) h::run(short_lived(), {.loops = 2});
}
void run_second() { h::run(in_second(), {.loops = 3}); }

}  // namespace

h::task<> runtimes(int) {
  keep("waiter", for_ever());
  auto job = h::to_thread(begin_and_end_runtimes);
  co_await std::move(job);
}

h::task<> two_runtimes(int) {
  keep("first", for_ever());
  auto job = h::to_thread(run_second);
  co_await std::move(job);
}

namespace {

// One task at a time keeps what it makes: the others wait.
h::task<> maker() {
  keep("left over", for_ever());
  co_return;
}
h::task<> lasting_maker(h::event& begin, h::event& made) {
  co_await begin.wait();
  keep("detached", for_ever());
  made.set();
  co_await never().wait();
}
/// A task that awaits the one that made it.
h::task<> awaits_maker(h::task_handle<> maker) { co_await maker; }
h::task<> awaited_maker(h::event& begin, h::event& made) {
  co_await begin.wait();
  keep("awaits its maker", awaits_maker(kept().back()));
  made.set();
  co_await never().wait();
}

}  // namespace

h::task<> makers(int) {
  static auto* const events = new h::event[4];
  keep("awaited maker", awaited_maker(events[0], events[1]));
  events[0].set();
  co_await events[1].wait();
  keep("lasting maker", lasting_maker(events[2], events[3]));
  events[2].set();
  co_await events[3].wait();
  {
    auto ends = h::create_task(maker());
    co_await ends;
  }
  co_await never().wait();
}

namespace {

volatile bool goes_on = true;
[[gnu::noinline]] void works(bool blocks) {
  // As a function that needs these registers: it keeps what its caller has in them on the stack.
#if defined(__x86_64__)
  asm volatile("" ::: "rbx", "r12", "r13", "r14", "r15");
#endif
  while (goes_on)
    if (blocks) ::pause();
}
[[gnu::noinline]] h::task<int> inner_work(bool blocks) {
  works(blocks);
  co_return 1;
}
h::task<> outer_work(bool blocks) {
  for (;;) (void)co_await inner_work(blocks);
}

}  // namespace

/// A task whose step never ends: it computes (n = 0), or blocks in the kernel.
h::task<> busy(int n) {
  keep("worker", outer_work(n != 0));
  co_await never().wait();
}

/// Becomes the same program anew, again and again: `n` times.
h::task<> execs(int n) {
  keep("waiter", for_ever());
  if (n == 0) co_await never().wait();
  co_await h::sleep(3ms);
  ::signal(SIGPIPE, SIG_IGN);  // the reader of our output has gone after the first line
  const std::string left = std::to_string(n - 1);
  const char* words[] = {"inside_programs", "execs", "2", left.c_str(), nullptr};
  ::execv("/proc/self/exe", const_cast<char**>(words));
}

/// Makes children that have its tasks and none of its threads: one that stays, and others that end.
h::task<> forks(int) {
  keep("waiter", for_ever());
  const auto stays = ::fork();
  if (stays == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  std::fprintf(stderr, "%d\n", static_cast<int>(stays));
  for (;;) {
    if (const pid_t child = ::fork(); child == 0)
      ::_exit(0);
    else
      ::waitpid(child, nullptr, 0);
    co_await h::sleep(10ms);
  }
}

h::task<> dumps(int) {
  keep("waiter", for_ever());
  for (;;) {
    (void)h::dump(STDERR_FILENO);
    co_await h::sleep(20ms);
  }
}

}  // namespace inside
