// SPDX-License-Identifier: MIT
#include <heddle/core/base/thread_state.h>
#include <heddle/heddle.h>

#include <atomic>
#include <string_view>
#include <utility>
#include <vector>

#include "memory/problem.h"

namespace {

using counter = std::atomic<long>;

heddle::task<> sleeper(counter& asleep) {
  asleep.fetch_add(1, std::memory_order_relaxed);
  co_await heddle::sleep(bench::memory::nap);
}

heddle::task<> getter(counter& asleep, heddle::queue<int>& empty) {
  asleep.fetch_add(1, std::memory_order_relaxed);
  co_await empty.get();
}

heddle::task<> locker(counter& asleep, heddle::mutex& held) {
  asleep.fetch_add(1, std::memory_order_relaxed);
  co_await held.lock();
}

heddle::task<> listener(counter& asleep, heddle::future<int> result) {
  asleep.fetch_add(1, std::memory_order_relaxed);
  co_await result;
}

// What the tasks wait for; outlives them, since run() cancels them before it returns.
struct awaited {
  heddle::queue<int> empty{1};
  heddle::mutex held;
  std::vector<heddle::promise<int>> promises;
};

/// Starts the tasks. False: there is no such shape.
bool start(std::string_view shape, long tasks, counter& asleep, awaited& what) {
  for (long i = 0; i < tasks; ++i) {
    if (shape == "sleep") {
      (void)heddle::create_task(sleeper(asleep));
    } else if (shape == "queue") {
      (void)heddle::create_task(getter(asleep, what.empty));
    } else if (shape == "mutex") {
      (void)heddle::create_task(locker(asleep, what.held));
    } else if (shape == "future") {
      (void)heddle::create_task(listener(asleep, what.promises.emplace_back().get_future()));
    } else {
      return false;
    }
  }
  return true;
}

heddle::task<> nothing() { co_return; }

heddle::task<> count_suspended(bench::identity who, const bench::settings& with, bench::report& out,
                               counter& asleep, awaited& what) {
  const long tasks = with.size;
  // One task comes and goes first, so that the runtime's own set-up is not charged to the others.
  co_await heddle::create_task(nothing);
  co_await what.held.lock();
  const long before_kb = bench::current_rss_kb();
  const auto frames_before = heddle::detail::process_frames().reserved();
  out.begin();
  if (!start(with.shape, tasks, asleep, what)) bench::give_up(who, "no shape " + with.shape);
  while (asleep.load(std::memory_order_relaxed) < tasks) co_await heddle::yield_now();
  out.end();
  bench::memory::note_bytes(out, before_kb, tasks);
  const auto frames = heddle::detail::process_frames().reserved() - frames_before;
  out.note("frame_bytes_per_task", static_cast<double>(frames) / static_cast<double>(tasks));
  out.print(asleep.load(), tasks);
}  // run() cancels the tasks

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"memory", "heddle"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::memory::default_size, bench::memory::size_means);
  bench::report out(who, with);
  counter asleep = 0;
  awaited what;
  heddle::run(count_suspended(who, with, out, asleep, what), {.loops = with.threads});
  return out.status();
}
