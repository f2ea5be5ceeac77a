// SPDX-License-Identifier: MIT
//
// What each operation of a problem costs that does not depend on the machine's speed: counted, on
// real threads.
#include <heddle/sched/runtime.h>

#include <cstdio>
#include <exception>

#include "common/program.h"
#include "model/counters.h"
#include "model/run.h"

namespace bench::model {

void in_body(const void*) noexcept {}
void compute(long ns) noexcept {
  const auto until = now_ns() + ns;
  while (now_ns() < until) {}
}

namespace {

heddle::task<> measure(const problem& p, long size, unsigned loops) {
  (void)co_await p.solve(p.sizes[2]);
  const counts before = all_counts();
  const long operations = co_await p.solve(size);
  const counts after = all_counts();
  std::string line = line_head(p, loops, operations);
  for (std::size_t i = 0; i < kinds; ++i)
    line += ",\"" + std::string(names_of_counts[i]) + "\":" + std::to_string(after[i] - before[i]);
  std::printf("%s}\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace
}  // namespace bench::model

int main(int argc, char** argv) {
  using namespace bench::model;
  const wishes w = read_wishes(argc, argv, {1, 2, 4, 8});
  try {
    for (const problem* p : w.chosen)
      for (const unsigned loops : w.loops)
        heddle::run(measure(*p, p->sizes[w.effort], loops), {.loops = loops});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "counts: %s\n", e.what());
    return 1;
  }
}
