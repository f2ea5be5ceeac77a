// SPDX-License-Identifier: MIT
//
// What tasks cost: calls, births, joins, yields.
#include <utility>
#include <vector>

#include "micro/in_loops.h"

namespace {

using benchmark::State;
using heddle::task;

task<int> give(int value) { co_return value; }

task<> plain_co_await(State& state) {
  int sum = 0;
  for (auto _ : state) sum += co_await give(1);
  benchmark::DoNotOptimize(sum);
}

task<> create_task_and_await(State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(co_await heddle::create_task(give(1)));
}

// Time is a task's share of making a million and then awaiting all.
task<> create_many_then_await(State& state) {
  constexpr int many = 1'000'000;
  std::vector<heddle::task_handle<int>> handles;
  handles.reserve(many);
  while (state.KeepRunningBatch(many)) {
    for (int i = 0; i < many; ++i) handles.push_back(heddle::create_task(give(i)));
    for (auto& h : handles) benchmark::DoNotOptimize(co_await h);
    handles.clear();
  }
}

task<> fork_join_of_two(State& state) {
  for (auto _ : state) {
    auto [a, b] = co_await heddle::fork_join(give(1), give(2));
    benchmark::DoNotOptimize(a + b);
  }
}

task<> gather_of_two(State& state) {
  for (auto _ : state) {
    auto [a, b] = co_await heddle::gather(give(1), give(2));
    benchmark::DoNotOptimize(a + b);
  }
}

task<> yield_times(int times) {
  for (int i = 0; i < times; ++i) co_await heddle::yield_now();
}

task<> yield_alone(State& state) {
  for (auto _ : state) co_await heddle::yield_now();
}

// Time is that of one yield of one of four tasks.
task<> yield_among_four(State& state) {
  constexpr int each = 10'000;
  while (state.KeepRunningBatch(4 * each)) {
    co_await heddle::gather(yield_times(each), yield_times(each), yield_times(each),
                            yield_times(each));
  }
}

}  // namespace

int main(int argc, char** argv) {
  using bench::micro::in_loops;
  in_loops("plain_co_await", plain_co_await);
  in_loops("create_task_and_await", create_task_and_await);
  in_loops("create_many_then_await", create_many_then_await);
  in_loops("fork_join_of_two", fork_join_of_two);
  in_loops("gather_of_two", gather_of_two);
  in_loops("yield_alone", yield_alone);
  in_loops("yield_among_four", yield_among_four);
  return bench::micro::run_registered(argc, argv);
}
