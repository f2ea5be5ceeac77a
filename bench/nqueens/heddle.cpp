// SPDX-License-Identifier: MIT
#include <utility>
#include <vector>

#include "common/heddle.h"
#include "nqueens/problem.h"

namespace {

using bench::nqueens::board;

heddle::task<long> queens(board placed, int n) {
  if (placed.rows == n) co_return 1;
  std::vector<heddle::task<long>> children;
  for (int column = 0; column < n; ++column) {
    if (placed.allows(column)) children.push_back(queens(placed.with(column), n));
  }
  if (children.empty()) co_return 0;
  const std::vector<long> counts = co_await heddle::fork_join(std::move(children));
  long sum = 0;
  for (const long c : counts) sum += c;
  co_return sum;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"nqueens", "heddle"};
  const auto with = bench::read_settings(argc, argv, who, bench::nqueens::default_size,
                                         bench::nqueens::size_means);
  const long expected = bench::nqueens::expected(who, with.size);
  return bench::run_all_on_heddle(who, with, expected,
                                  [n = static_cast<int>(with.size)] { return queens(board{}, n); });
}
