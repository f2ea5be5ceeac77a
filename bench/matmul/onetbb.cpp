// SPDX-License-Identifier: MIT
#include <oneapi/tbb/task_group.h>

#include "common/onetbb.h"
#include "matmul/problem.h"

namespace {

using bench::matmul::source;
using bench::matmul::target;

// Two products go to each quarter of c, so the eight are done in two rounds of four.
void multiply(target c, source a, source b) {
  if (c.size == bench::matmul::leaf) {
    bench::matmul::multiply_leaf(c, a, b);
    return;
  }
  for (std::size_t k = 0; k < 2; ++k) {
    oneapi::tbb::task_group group;
    group.run([=] { multiply(c.quarter(0, 0), a.quarter(0, k), b.quarter(k, 0)); });
    group.run([=] { multiply(c.quarter(0, 1), a.quarter(0, k), b.quarter(k, 1)); });
    group.run([=] { multiply(c.quarter(1, 0), a.quarter(1, k), b.quarter(k, 0)); });
    multiply(c.quarter(1, 1), a.quarter(1, k), b.quarter(k, 1));
    group.wait();
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"matmul", "onetbb"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::matmul::default_size, bench::matmul::size_means);
  bench::matmul::problem operands(who, with.size);
  bench::onetbb_threads threads(with.threads);
  bench::report out(who, with);
  for (int i = 0; i < with.repeat; ++i) {
    operands.clear();
    out.begin();
    threads.execute([&] { multiply(operands.c(), operands.a(), operands.b()); });
    out.end();
    out.print(operands.holds(), 1);
  }
  return out.status();
}
