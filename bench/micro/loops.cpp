// SPDX-License-Identifier: MIT
//
// What loops do beside running tasks: timers, callbacks, threads, and calls from outside.
#include <chrono>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "micro/in_loops.h"

namespace {

using benchmark::State;
using heddle::task;
using namespace std::chrono_literals;

task<> call_soon_round_trip(State& state) {
  heddle::event done;
  for (auto _ : state) {
    heddle::current_loop().call_soon([&] { done.set(); });
    co_await done.wait();
    done.clear();
  }
}

// A timer is armed and cancelled while so many others are armed.
task<> arm_and_cancel(State& state, std::size_t live) {
  auto& loop = heddle::current_loop();
  std::vector<heddle::callback_handle> others;
  others.reserve(live);
  for (std::size_t i = 0; i < live; ++i) {
    others.push_back(loop.call_later(1h + std::chrono::microseconds(i * 7919 % live), [] {}));
  }
  std::size_t next = 0;
  for (auto _ : state) {
    loop.call_later(1h + std::chrono::microseconds(next++ % (live + 1)), [] {}).cancel();
  }
  for (auto& o : others) o.cancel();
  co_return;
}

task<> timer_arm_and_cancel(State& state) { co_await arm_and_cancel(state, 0); }
task<> timer_arm_and_cancel_among_1e6(State& state) { co_await arm_and_cancel(state, 1'000'000); }

task<> yield_once() { co_await heddle::yield_now(); }

task<> timeout_around_a_yield(State& state) {
  for (auto _ : state) co_await heddle::timeout(1h, yield_once);
}

struct wire {
  heddle::promise<int> end;
  heddle::future<int> begin = end.get_future();
};

task<> send_over(std::vector<wire>& there, std::vector<wire>& back) {
  for (std::size_t i = 0; i < there.size(); ++i) {
    there[i].end.set_value(1);
    benchmark::DoNotOptimize(co_await back[i].begin);
  }
}

task<> answer_over(std::vector<wire>& there, std::vector<wire>& back) {
  for (std::size_t i = 0; i < there.size(); ++i) back[i].end.set_value(co_await there[i].begin);
}

// Two tasks pinned to the first and the last loop set futures for each other. Time is that of the
// way there and back; with one loop it is that of two futures on the same loop.
task<> future_there_and_back(State& state) {
  constexpr std::size_t times = 1000;
  heddle::runtime& rt = heddle::current_loop().owner();
  while (state.KeepRunningBatch(times)) {
    state.PauseTiming();
    std::vector<wire> there(times);
    std::vector<wire> back(times);
    state.ResumeTiming();
    auto sender =
        heddle::create_task({.loop = &rt.loop(0)}, send_over, std::ref(there), std::ref(back));
    auto answerer = heddle::create_task({.loop = &rt.loop(rt.loop_count() - 1)}, answer_over,
                                        std::ref(there), std::ref(back));
    co_await sender;
    co_await answerer;
  }
}

int one() { return 1; }

task<> to_thread_round_trip(State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(co_await heddle::to_thread(one));
}

task<int> one_from_thread() { co_return co_await heddle::to_thread(one); }

// Time is a job's share when 64 are always asked for at once.
task<> to_thread_64_at_once(State& state) {
  constexpr int at_once = 64;
  std::vector<heddle::task_handle<int>> jobs;
  jobs.reserve(at_once);
  while (state.KeepRunningBatch(at_once)) {
    for (int i = 0; i < at_once; ++i) jobs.push_back(heddle::create_task(one_from_thread));
    for (auto& j : jobs) benchmark::DoNotOptimize(co_await j);
    jobs.clear();
  }
}

task<int> answer() { co_return 1; }

// A foreign thread submits a task and blocks for its result.
void submit_from_outside(State& state) {
  heddle::runtime rt({.loops = static_cast<unsigned>(state.range(0))});
  for (auto _ : state) benchmark::DoNotOptimize(rt.submit(answer()).get());
}

}  // namespace

int main(int argc, char** argv) {
  using bench::micro::in_loops;
  in_loops("call_soon_round_trip", call_soon_round_trip);
  in_loops("timer_arm_and_cancel", timer_arm_and_cancel);
  in_loops("timer_arm_and_cancel_among_1e6", timer_arm_and_cancel_among_1e6);
  in_loops("timeout_around_a_yield", timeout_around_a_yield);
  in_loops("future_there_and_back", future_there_and_back);
  in_loops("to_thread_round_trip", to_thread_round_trip);
  in_loops("to_thread_64_at_once", to_thread_64_at_once);
  benchmark::RegisterBenchmark("submit_from_outside", submit_from_outside)
      ->ArgName("loops")
      ->Arg(1)
      ->Arg(2)
      ->UseRealTime();
  return bench::micro::run_registered(argc, argv);
}
