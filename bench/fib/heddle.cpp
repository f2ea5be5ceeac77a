// SPDX-License-Identifier: MIT
#include "common/heddle.h"
#include "fib/problem.h"

namespace {

heddle::task<long> fib(long n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await heddle::fork_join(fib(n - 1), fib(n - 2));
  co_return a + b;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"fib", "heddle"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::fib::default_size, bench::fib::size_means);
  return bench::run_all_on_heddle(who, with, bench::fib::expected(with.size),
                                  [n = with.size] { return fib(n); });
}
