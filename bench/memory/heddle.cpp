// SPDX-License-Identifier: MIT
#include <heddle/core/thread_state.h>
#include <heddle/heddle.h>

#include <atomic>
#include <utility>
#include <vector>

#include "memory/problem.h"

namespace {

heddle::task<> sleeper(std::atomic<long>& asleep) {
  asleep.fetch_add(1, std::memory_order_relaxed);
  co_await heddle::sleep(bench::memory::nap);
}

heddle::task<> nothing() { co_return; }

heddle::task<> count_sleepers(bench::report& out, long tasks, std::atomic<long>& asleep) {
  // One task comes and goes first, so that the runtime's own set-up is not charged to the sleepers.
  co_await heddle::create_task(nothing);
  const long before_kb = bench::current_rss_kb();
  const auto frames_before = heddle::detail::process_frames().reserved();
  out.begin();
  for (long i = 0; i < tasks; ++i) (void)heddle::create_task(sleeper(asleep));
  while (asleep.load(std::memory_order_relaxed) < tasks) co_await heddle::yield_now();
  out.end();
  bench::memory::note_bytes(out, before_kb, tasks);
  const auto frames = heddle::detail::process_frames().reserved() - frames_before;
  out.note("frame_bytes_per_task", static_cast<double>(frames) / static_cast<double>(tasks));
  out.print(asleep.load(), tasks);
}  // run() cancels the sleepers

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"memory", "heddle"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::memory::default_size, bench::memory::size_means);
  bench::report out(who, with);
  std::atomic<long> asleep = 0;
  heddle::run(count_sleepers(out, with.size, asleep), {.loops = with.threads});
  return out.status();
}
