// SPDX-License-Identifier: MIT
#include "common/heddle.h"
#include "matmul/problem.h"

namespace {

using bench::matmul::source;
using bench::matmul::target;

// Two products go to each quarter of c, so the eight are done in two rounds of four.
heddle::task<> multiply(target c, source a, source b) {
  if (c.size == bench::matmul::leaf) {
    bench::matmul::multiply_leaf(c, a, b);
    co_return;
  }
  for (std::size_t k = 0; k < 2; ++k) {
    co_await heddle::fork_join(multiply(c.quarter(0, 0), a.quarter(0, k), b.quarter(k, 0)),
                               multiply(c.quarter(0, 1), a.quarter(0, k), b.quarter(k, 1)),
                               multiply(c.quarter(1, 0), a.quarter(1, k), b.quarter(k, 0)),
                               multiply(c.quarter(1, 1), a.quarter(1, k), b.quarter(k, 1)));
  }
}

heddle::task<> run_all(bench::matmul::problem& operands, bench::report& out, int repeat) {
  for (int i = 0; i < repeat; ++i) {
    operands.clear();
    out.begin();
    co_await multiply(operands.c(), operands.a(), operands.b());
    out.end();
    out.print(operands.holds(), 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"matmul", "heddle"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::matmul::default_size, bench::matmul::size_means);
  bench::matmul::problem operands(who, with.size);
  bench::report out(who, with);
  heddle::run(run_all(operands, out, with.repeat), {.loops = with.threads});
  return out.status();
}
