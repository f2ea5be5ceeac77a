// SPDX-License-Identifier: MIT
//
// oneTBB's program for matmul/ and matmul_inlined/, which differ in what multiplies a leaf.
#pragma once

#include <oneapi/tbb/task_group.h>

#include "common/onetbb.h"
#include "matmul/problem.h"

namespace bench::matmul {

// Two products go to each quarter of c, so the eight are done in two rounds of four.
template <auto Leaf>
void multiply(target c, source a, source b) {
  if (c.size == leaf) {
    Leaf(c, a, b);
    return;
  }
  for (std::size_t k = 0; k < 2; ++k) {
    oneapi::tbb::task_group group;
    group.run([=] { multiply<Leaf>(c.quarter(0, 0), a.quarter(0, k), b.quarter(k, 0)); });
    group.run([=] { multiply<Leaf>(c.quarter(0, 1), a.quarter(0, k), b.quarter(k, 1)); });
    group.run([=] { multiply<Leaf>(c.quarter(1, 0), a.quarter(1, k), b.quarter(k, 0)); });
    multiply<Leaf>(c.quarter(1, 1), a.quarter(1, k), b.quarter(k, 1));
    group.wait();
  }
}

/// A program's main().
template <auto Leaf>
int main_on_onetbb(int argc, char** argv, identity who) {
  const auto with = read_settings(argc, argv, who, default_size, size_means);
  problem operands(who, with.size);
  onetbb_threads threads(with.threads);
  report out(who, with);
  for (int i = 0; i < with.repeat; ++i) {
    operands.clear();
    out.begin();
    threads.execute([&] { multiply<Leaf>(operands.c(), operands.a(), operands.b()); });
    out.end();
    out.print(operands.holds(), 1);
  }
  return out.status();
}

}  // namespace bench::matmul
