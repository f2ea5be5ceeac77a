// SPDX-License-Identifier: MIT
//
// What the scheduler is made of, without a scheduler: frame cache and deque.
#include <benchmark/benchmark.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/sched/loop/deque.h>

#include <cstddef>
#include <vector>

namespace {

using benchmark::State;

void frame_allocate_and_free(State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* frame = heddle::detail::frame_allocate(bytes);
    benchmark::DoNotOptimize(frame);
    heddle::detail::frame_free(frame, bytes);
  }
}

// More at once than one magazine holds, freed in the order of birth: every batch visits the depot.
void frame_allocate_1000_then_free(State& state) {
  constexpr std::size_t bytes = 128;
  std::vector<void*> frames(1000);
  const auto count = static_cast<benchmark::IterationCount>(frames.size());
  while (state.KeepRunningBatch(count)) {
    for (auto& f : frames) f = heddle::detail::frame_allocate(bytes);
    for (auto* f : frames) heddle::detail::frame_free(f, bytes);
  }
}

void deque_push_and_pop(State& state) {
  heddle::detail::deque<int*> d;
  int item = 0;
  for (auto _ : state) {
    d.push(&item);
    benchmark::DoNotOptimize(d.pop());
  }
}

// Never the last item, for which owner and thieves compete.
void deque_push_publish_and_pop(State& state) {
  heddle::detail::deque<int*> d;
  d.share(heddle::detail::sharing::all);
  int item = 0;
  for (int i = 0; i < 16; ++i) d.push(&item);
  for (auto _ : state) {
    d.push(&item);
    d.publish(true);
    benchmark::DoNotOptimize(d.pop());
  }
}

void deque_push_publish_and_steal(State& state) {
  heddle::detail::deque<int*> d;
  d.share(heddle::detail::sharing::half);
  heddle::detail::deque<int*>::thief thief(d);
  int item = 0;
  for (auto _ : state) {
    d.push(&item);
    d.publish(false);
    int* got = nullptr;
    benchmark::DoNotOptimize(thief.steal(got));
  }
}

BENCHMARK(frame_allocate_and_free)->ArgName("bytes")->Arg(64)->Arg(256)->Arg(1024)->Arg(4096);
BENCHMARK(frame_allocate_1000_then_free);
BENCHMARK(deque_push_and_pop);
BENCHMARK(deque_push_publish_and_pop);
BENCHMARK(deque_push_publish_and_steal);

}  // namespace

BENCHMARK_MAIN();
