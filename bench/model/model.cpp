// SPDX-License-Identifier: MIT
//
// The model run: the real scheduler on 1 to 128 virtual loops of one thread, whose clocks are
// charged for cache lines, locked operations and wake-ups (machine.h). A prediction, no
// measurement.
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/simulation/simulation.h>
#include <heddle/sched/sleep.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>

#include "model/counters.h"
#include "model/machine.h"
#include "model/run.h"

namespace bench::model {
namespace {

using std::chrono::milliseconds;

picoseconds body = 0;  // what a task does beside what is charged for
milliseconds settle{};

/// Private members, for their names in the output: an explicit instantiation may name them.
template <class Tag, typename Tag::type Member>
struct reveal {
  friend typename Tag::type shown(Tag) { return Member; }
};
using heddle::detail::idle_set;
using heddle::detail::worker;
#define BENCH_REVEAL(of, member, kind) \
  struct member##_tag {                \
    using type = kind of::*;           \
    friend type shown(member##_tag);   \
  };                                   \
  template struct reveal<member##_tag, &of::member>
BENCH_REVEAL(worker, ready_, heddle::detail::run_queue<heddle::detail::task_record*>);
BENCH_REVEAL(worker, next_slot_, heddle::detail::atomic<heddle::detail::task_record*>);
BENCH_REVEAL(worker, movable_, heddle::detail::shared_queue);
BENCH_REVEAL(worker, pinned_, heddle::detail::inbox);
BENCH_REVEAL(worker, beat_, heddle::detail::atomic<std::uint64_t>);
BENCH_REVEAL(idle_set, searching_, heddle::detail::atomic<std::uint32_t>);
BENCH_REVEAL(idle_set, parked_count_, heddle::detail::atomic<std::uint32_t>);
BENCH_REVEAL(idle_set, wanted_, heddle::detail::atomic<std::uint32_t>);
BENCH_REVEAL(idle_set, words_, std::vector<heddle::detail::sleepers_of_a_word>);
#undef BENCH_REVEAL

template <class T, class Tag>
void name_member(T& of, Tag tag, const char* name) {
  auto& member = of.*shown(tag);
  name_lines(&member, sizeof member, name);
}

void name_all() {
  auto& s = *heddle::detail::this_runtime();
  name_member(s.idle, searching__tag{}, "searchers");
  name_member(s.idle, parked_count__tag{}, "sleepers");
  name_member(s.idle, wanted__tag{}, "a searcher is wanted");
  for (auto& word : s.idle.*shown(words__tag{})) name_lines(&word, sizeof word, "who sleeps");
  name_lines(&s.injection, sizeof s.injection, "injection");
  name_lines(&s.watchers, sizeof s.watchers, "watchers");
  for (auto& w : s.workers) {
    auto& strands = w->forks().strands;
    name_lines(&strands, 64, "deque, public part");
    name_lines(reinterpret_cast<const char*>(&strands) + 128, sizeof strands - 128,
               "deque, private part");
    name_member(*w, ready__tag{}, "run queue");
    name_member(*w, next_slot__tag{}, "slot");
    name_member(*w, movable__tag{}, "movable");
    name_member(*w, pinned__tag{}, "inbox");
    name_member(*w, beat__tag{}, "heartbeat and counters");
  }
}

struct outcome {
  long operations = 0;
  double ns = 0;
  counts counted{};
  std::vector<transferred> lines;
};

heddle::task<outcome> measure(const problem& p, long size) {
  (void)co_await p.solve(p.sizes[2]);
  if (settle != milliseconds::zero()) co_await heddle::sleep(settle);  // all others fall asleep
  name_all();
  reset_transfers();
  const counts before = all_counts();
  const auto began = machine.now;
  outcome o;
  o.operations = co_await p.solve(size);
  o.ns = static_cast<double>(machine.now - began) / ps_per_ns;
  o.counted = all_counts();
  for (std::size_t i = 0; i < kinds; ++i) o.counted[i] -= before[i];
  o.lines = transfers();
  co_return o;
}

outcome simulate(const problem& p, long size, unsigned loops) {
  reset_machine();
  outcome o;
  heddle::detail::simulation s(1, 0, false);
  s.run([&] {
    heddle::runtime r({.loops = loops});
    o = r.run(measure(p, size));
  });
  return o;
}

void print(const problem& p, unsigned loops, const outcome& o) {
  char text[64];
  std::snprintf(text, sizeof text, ",\"ns\":%.0f,\"body_ns\":%.1f", o.ns,
                static_cast<double>(body) / ps_per_ns);
  std::string line = line_head(p, loops, o.operations) + text;
  for (std::size_t i = 0; i < kinds; ++i)
    line += ",\"" + std::string(names_of_counts[i]) + "\":" + std::to_string(o.counted[i]);
  line += ",\"lines\":[";
  for (std::size_t i = 0; i < std::min<std::size_t>(6, o.lines.size()); ++i) {
    const auto& l = o.lines[i];
    line += (i ? ",{\"name\":\"" : "{\"name\":\"") + l.name +
            "\",\"transfers\":" + std::to_string(l.transfers) +
            ",\"ns\":" + std::to_string(l.spent / ps_per_ns) + "}";
  }
  std::printf("%s]}\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace

void in_body(const void* in_frame) noexcept {
  if (!machine.running) return;
  write(in_frame, false);
  spend(body);
}

void compute(long ns) noexcept { spend(ns * ps_per_ns); }

}  // namespace bench::model

int main(int argc, char** argv) {
  using namespace bench::model;
  const wishes w = read_wishes(argc, argv, {1, 2, 4, 8, 16, 32, 64, 128});
  settle = milliseconds(w.settle_ms);
  try {
    for (const problem* p : w.chosen) {
      // On one loop the model takes what the machine takes: the rest of a task is its body.
      body = 0;
      const double wanted = w.operation_ns != 0 ? w.operation_ns : p->operation_ns;
      const outcome bare = simulate(*p, p->sizes[1], 1);
      const double rest = wanted - bare.ns / static_cast<double>(bare.operations);
      body = std::max<picoseconds>(0, std::llround(rest * ps_per_ns));
      for (const unsigned loops : w.loops)
        print(*p, loops, simulate(*p, p->sizes[w.effort], loops));
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "model: %s\n", e.what());
    return 1;
  }
}
