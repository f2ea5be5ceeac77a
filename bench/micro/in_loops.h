// SPDX-License-Identifier: MIT
//
// Google Benchmark around coroutines: the loop over `state` stands in a task, inside a running
// runtime, so that starting and stopping it is not measured.
#pragma once

#include <benchmark/benchmark.h>
#include <heddle/heddle.h>

#include <string>

namespace bench::micro {

/// A benchmark that is a coroutine. It may resume on another thread than it began on, so it is
/// measured by the wall clock only.
using body = heddle::task<> (*)(benchmark::State&);

/// Registers `f` for 1 and for 2 loops; the task is pinned nowhere.
inline void in_loops(const std::string& name, body f) {
  auto run = [f](benchmark::State& state) {
    heddle::run(f(state), {.loops = static_cast<unsigned>(state.range(0))});
  };
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->ArgName("loops")
      ->Arg(1)
      ->Arg(2)
      ->Unit(benchmark::kNanosecond)
      ->UseRealTime();
}

/// What remains of main() once all is registered.
inline int run_registered(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace bench::micro
