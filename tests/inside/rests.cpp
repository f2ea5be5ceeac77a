// SPDX-License-Identifier: MIT
// Programs in which nothing can happen any more, or nearly.
#include "programs.h"

#include <heddle/io/server.h>
#include <heddle/io/sock.h>
#include <heddle/io/stream.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/options.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>
#include <utility>

namespace inside {

using namespace std::chrono_literals;

namespace {

/// What may still happen.
enum also { nothing_else, fails, timer, descriptor, job, handler, thread, listener, silent };

struct shared {
  h::mutex a, b;
  h::event first, second, never;
};
shared& all() {
  static auto* const s = new shared;
  return *s;
}

h::task<> locks(h::mutex& own, h::mutex& next, h::event& has, h::event& other) {
  const auto guard = co_await own.scoped_lock();
  has.set();
  co_await other.wait();
  const auto second = co_await next.scoped_lock();
}
h::task<> sleeps() { co_await h::sleep(1h); }
h::task<> reads(int file) { co_await h::readable(file); }
void blocks() {
  for (;;) ::pause();
}
h::task<> in_thread() {
  auto job = h::to_thread(blocks);
  co_await std::move(job);
}
h::task<> serves(h::connection) { co_return; }

h::task<> main_task(int what) {
  auto& s = all();
  keep("first", locks(s.a, s.b, s.first, s.second));
  const auto first = kept().back();
  keep("second", locks(s.b, s.a, s.second, s.first));
  int ends[2];
  if (what == timer) keep("timer", sleeps());
  if (what == descriptor && ::pipe(ends) == 0) keep("descriptor", reads(ends[0]));
  if (what == job) keep("job", in_thread());
  if (what == handler) h::current_loop().add_signal_handler(SIGUSR1, [] {});
  if (what == listener) {
    auto server = co_await h::start_server(serves, "127.0.0.1", 0);
    co_await s.never.wait();
  }
  co_await first;
}

}  // namespace

int rests(unsigned loops, int n) {
  std::puts("begun");
  std::fflush(stdout);
  h::options o;
  o.loops = loops;
  if (n == fails) o.when_at_rest = h::at_rest::fails;
  if (n == silent) o.when_at_rest = h::at_rest::nothing;
  if (n == thread) std::thread(blocks).detach();
  try {
    h::runtime runtime(o);
    try {
      runtime.run(main_task(n));
    } catch (const std::exception& e) {
      std::fprintf(stderr, "run threw: %s", e.what());
      std::fflush(stderr);
      ::_exit(3);
    }
  } catch (const std::exception&) {}
  return 0;
}

}  // namespace inside
