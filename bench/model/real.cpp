// SPDX-License-Identifier: MIT
//
// The same problems on this machine, for what the model is calibrated and compared with.
#include <heddle/sched/runtime.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "common/program.h"
#include "model/run.h"

namespace bench::model {

void in_body(const void*) noexcept {}
void compute(long ns) noexcept {
  const auto until = now_ns() + ns;
  while (now_ns() < until) {}
}

namespace {

heddle::task<> measure(const problem& p, long size, unsigned loops, int repeat) {
  (void)co_await p.solve(p.sizes[2]);
  double least = 0;
  long operations = 0;
  for (int i = 0; i < repeat; ++i) {
    const auto began = now_ns();
    operations = co_await p.solve(size);
    const auto took = static_cast<double>(now_ns() - began);
    if (i == 0 || took < least) least = took;
  }
  std::printf("%s,\"ns\":%.0f}\n", line_head(p, loops, operations).c_str(), least);
  std::fflush(stdout);
}

}  // namespace
}  // namespace bench::model

int main(int argc, char** argv) {
  using namespace bench::model;
  const wishes w = read_wishes(argc, argv, {1, 2});
  try {
    for (const problem* p : w.chosen)
      for (const unsigned loops : w.loops)
        heddle::run(measure(*p, p->sizes[w.effort], loops, w.repeat), {.loops = loops});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "real: %s\n", e.what());
    return 1;
  }
}
