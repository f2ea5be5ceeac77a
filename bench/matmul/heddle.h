// SPDX-License-Identifier: MIT
//
// heddle's program for matmul/ and matmul_inlined/, which differ in what multiplies a leaf.
#pragma once

#include "common/heddle.h"
#include "matmul/problem.h"

namespace bench::matmul {

// Two products go to each quarter of c, so the eight are done in two rounds of four.
template <auto Leaf>
heddle::task<> multiply(target c, source a, source b) {
  if (c.size == leaf) {
    Leaf(c, a, b);
    co_return;
  }
  for (std::size_t k = 0; k < 2; ++k) {
    co_await heddle::fork_join(multiply<Leaf>(c.quarter(0, 0), a.quarter(0, k), b.quarter(k, 0)),
                               multiply<Leaf>(c.quarter(0, 1), a.quarter(0, k), b.quarter(k, 1)),
                               multiply<Leaf>(c.quarter(1, 0), a.quarter(1, k), b.quarter(k, 0)),
                               multiply<Leaf>(c.quarter(1, 1), a.quarter(1, k), b.quarter(k, 1)));
  }
}

template <auto Leaf>
heddle::task<> run_all(problem& operands, report& out, int repeat) {
  for (int i = 0; i < repeat; ++i) {
    operands.clear();
    out.begin();
    co_await multiply<Leaf>(operands.c(), operands.a(), operands.b());
    out.end();
    out.print(operands.holds(), 1);
  }
}

/// A program's main().
template <auto Leaf>
int main_on_heddle(int argc, char** argv, identity who) {
  const auto with = read_settings(argc, argv, who, default_size, size_means);
  problem operands(who, with.size);
  report out(who, with);
  heddle::run(run_all<Leaf>(operands, out, with.repeat), {.loops = with.threads});
  return out.status();
}

}  // namespace bench::matmul
