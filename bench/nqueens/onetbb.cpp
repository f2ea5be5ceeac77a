// SPDX-License-Identifier: MIT
#include <oneapi/tbb/task_group.h>

#include <array>
#include <cstddef>

#include "common/onetbb.h"
#include "nqueens/problem.h"

namespace {

using bench::nqueens::board;

long queens(const board& placed, int n) {
  if (placed.rows == n) return 1;
  std::array<long, bench::nqueens::most> counts{};
  std::size_t used = 0;
  oneapi::tbb::task_group group;
  for (int column = 0; column < n; ++column) {
    if (!placed.allows(column)) continue;
    long& count = counts[used++];
    group.run([&count, next = placed.with(column), n] { count = queens(next, n); });
  }
  group.wait();
  long sum = 0;
  for (std::size_t i = 0; i < used; ++i) sum += counts[i];
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"nqueens", "onetbb"};
  const auto with = bench::read_settings(argc, argv, who, bench::nqueens::default_size,
                                         bench::nqueens::size_means);
  const long expected = bench::nqueens::expected(who, with.size);
  return bench::run_all_on_onetbb(who, with, expected,
                                  [n = static_cast<int>(with.size)] { return queens(board{}, n); });
}
