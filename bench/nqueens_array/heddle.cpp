// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <span>

#include "common/heddle.h"
#include "nqueens_array/problem.h"

namespace {

using bench::nqueens_array::board;

template <int N>
heddle::task<long> queens(board<N> placed, int row) {
  if (row == N) co_return 1;
  std::array<signed char, N> columns;
  std::size_t n = 0;
  for (int column = 0; column < N; ++column)
    if (bench::nqueens_array::allows<N>(placed, row, column))
      columns[n++] = static_cast<signed char>(column);
  if (n == 0) co_return 0;
  std::array<long, N> counts;
  const auto next = [&](std::size_t i) {
    return queens<N>(bench::nqueens_array::with<N>(placed, row, columns[i]), row + 1);
  };
  co_await heddle::fork_join(n, next, counts);
  long sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += counts[i];
  co_return sum;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace bench::nqueens_array;
  constexpr bench::identity who{"nqueens_array", "heddle"};
  const auto with = bench::read_settings(argc, argv, who, bench::nqueens::default_size,
                                         bench::nqueens::size_means);
  const int n = bench::checked_size(who, with.size, least, most);
  return bench::run_all_on_heddle(who, with, bench::nqueens::expected(who, n), [n] {
    return bench::with_constant<least, most>(n, [](auto size) {
      constexpr int columns = decltype(size)::value;
      return queens<columns>(board<columns>{}, 0);
    });
  });
}
