// SPDX-License-Identifier: MIT
#include <oneapi/tbb/task_group.h>

#include <array>
#include <cstddef>

#include "common/onetbb.h"
#include "nqueens_array/problem.h"

namespace {

using bench::nqueens_array::board;

template <int N>
long queens(const board<N>& placed, int row) {
  if (row == N) return 1;
  std::array<long, static_cast<std::size_t>(N)> counts{};
  std::size_t used = 0;
  oneapi::tbb::task_group group;
  for (int column = 0; column < N; ++column) {
    if (!bench::nqueens_array::allows<N>(placed, row, column)) continue;
    long& count = counts[used++];
    group.run([&count, row, next = bench::nqueens_array::with<N>(placed, row, column)] {
      count = queens<N>(next, row + 1);
    });
  }
  group.wait();
  long sum = 0;
  for (std::size_t i = 0; i < used; ++i) sum += counts[i];
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace bench::nqueens_array;
  constexpr bench::identity who{"nqueens_array", "onetbb"};
  const auto with = bench::read_settings(argc, argv, who, bench::nqueens::default_size,
                                         bench::nqueens::size_means);
  const int n = bench::checked_size(who, with.size, least, most);
  return bench::run_all_on_onetbb(who, with, bench::nqueens::expected(who, n), [n] {
    return bench::with_constant<least, most>(n, [](auto size) {
      constexpr int columns = decltype(size)::value;
      return queens<columns>(board<columns>{}, 0);
    });
  });
}
