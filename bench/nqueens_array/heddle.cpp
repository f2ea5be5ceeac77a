// SPDX-License-Identifier: MIT
#include <utility>
#include <vector>

#include "common/heddle.h"
#include "nqueens_array/problem.h"

namespace {

using bench::nqueens_array::board;

template <int N>
heddle::task<long> queens(board<N> placed, int row) {
  if (row == N) co_return 1;
  std::vector<heddle::task<long>> children;
  children.reserve(N);
  for (int column = 0; column < N; ++column) {
    if (bench::nqueens_array::allows<N>(placed, row, column))
      children.push_back(queens<N>(bench::nqueens_array::with<N>(placed, row, column), row + 1));
  }
  if (children.empty()) co_return 0;
  const std::vector<long> counts = co_await heddle::fork_join(std::move(children));
  long sum = 0;
  for (const long c : counts) sum += c;
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
