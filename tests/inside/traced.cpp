// SPDX-License-Identifier: MIT
// Programs whose recorded steps are looked at.
#include "programs.h"

#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/trace_span.h>
#include <heddle/sync/event.h>

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace inside {

using namespace std::chrono_literals;

namespace {

/// Computes for a moment.
void count(unsigned to) {
  for (volatile unsigned n = 0; n < to;) n = n + 1;
}
void slow_job() { ::usleep(300); }

h::task<> innermost() {
  const h::trace_span span("inner");
  count(2000);
  co_await h::yield_now();
}
h::task<> helper() {
  co_await innermost();
  count(1000);
}
h::task<> round_worker(h::event& go) {
  const h::trace_span span("round");
  co_await go.wait();
  co_await innermost();
  co_await h::create_task(helper());
  auto job = h::to_thread(slow_job);
  co_await std::move(job);
}

struct turns {
  h::event first, second;
};
h::task<> ping(turns& t) {
  for (;;) {
    co_await h::sleep(1ms);
    t.first.set();
    co_await t.second.wait();
    t.second.clear();
  }
}
h::task<> pong(turns& t) {
  for (;;) {
    co_await t.first.wait();
    t.first.clear();
    t.second.set();
  }
}

h::task<> answers() {
  count(2000);
  co_await h::yield_now();
  co_await h::sleep(100us);
}

h::task<> child() { co_return; }
h::task<> spinner() {
  for (;;) co_await h::yield_now();
}

}  // namespace

// Four tasks a round: created, woken, with a child, a job and spans; then all is quiet for a while.
h::task<> traced(int) {
  for (;;) {
    h::event go;
    std::vector<h::task_handle<>> workers;
    for (int i = 0; i < 4; ++i) {
      h::task_options o;
      o.name = "worker-" + std::to_string(i);
      workers.push_back(h::create_task(round_worker(go), o));
    }
    co_await h::sleep(1ms);
    go.set();
    for (auto& w : workers) co_await w;
    co_await h::sleep(20ms);
  }
}

// Two tasks that wake each other, in turn and without exception.
h::task<> turns_taken(int) {
  static auto* const t = new turns;
  static auto* const never = new h::event;
  keep("ping", ping(*t));
  keep("pong", pong(*t));
  co_await never->wait();
}

// A task a millisecond, as a server has requests.
h::task<> requests(int) {
  for (;;) {
    co_await h::sleep(1ms);
    (void)h::create_task(answers());
  }
}

// It does nothing but yield: more steps than may be recorded.
h::task<> spins(int) {
  keep("spinner", spinner());
  co_await kept().back();
}

// It does nothing but create tasks.
h::task<> storm(int) {
  for (;;) {
    for (int i = 0; i < 100; ++i) co_await h::create_task(child());
    co_await h::yield_now();
  }
}

namespace {

h::task<> ends_at_once() { co_return; }
h::task<> makes_some(int n) {
  for (int i = 0; i < n; ++i) co_await h::create_task(ends_at_once());
}

}  // namespace

int counted(unsigned loops, int n) {
  h::runtime runtime({.loops = loops});
  runtime.run(makes_some(n));
  std::uint64_t created = 0;
  for (const auto& l : runtime.stats().loops) created += l.created;
  std::printf("created %llu\n", static_cast<unsigned long long>(created));
  return 0;
}

}  // namespace inside
