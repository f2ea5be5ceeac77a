// SPDX-License-Identifier: MIT
// Programs that do not come to their end.
#include "programs.h"

#include <heddle/core/errors.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sync/event.h>
#include <heddle/sync/semaphore.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <utility>

namespace inside {

using namespace std::chrono_literals;

namespace {

/// What does not end.
enum what { tasks, main_task, a_job };

h::event& never() {
  static auto* const e = new h::event;
  return *e;
}
/// Those that have begun.
h::semaphore& begun() {
  static auto* const s = new h::semaphore(0);
  return *s;
}
h::task<> ends() {
  begun().release();
  co_await never().wait();
}
h::task<> cleans_up() {
  begun().release();
  bool is_cancelled = false;
  try {
    co_await never().wait();
  } catch (const h::cancelled_error&) { is_cancelled = true; }
  if (is_cancelled) co_await never().wait();  // "flush the log", which nobody answers
}
h::task<> swallows() {
  begun().release();
  for (;;) {
    try {
      co_await h::sleep(1h);
    } catch (const h::cancelled_error&) {}
  }
}
h::task<> awaits(h::task_handle<> t) {
  begun().release();
  co_await t;
}
std::atomic<bool> blocked{false};
void blocks() {
  blocked = true;
  for (;;) ::pause();
}
h::task<> in_thread() {
  begun().release();
  auto job = h::to_thread(blocks);
  co_await std::move(job);
}

h::task<> begins(int which) {
  if (which == main_task) co_await ends();
  if (which == a_job) keep("job", in_thread());
  if (which == tasks) {
    keep("polite", ends());
    keep("cleaner", cleans_up());
    keep("stubborn", swallows());
    keep("awaiter", awaits(kept().back()));
  }
  for (const auto& t : kept()) {
    (void)t;
    co_await begun().acquire();
  }
  while (which == a_job && !blocked) co_await h::sleep(1ms);
}

}  // namespace

int endings(unsigned loops, int n) {
  std::puts("begun");
  std::fflush(stdout);
  h::runtime runtime({.loops = loops});
  runtime.run(begins(n));
  runtime.close();
  return 0;
}

}  // namespace inside
