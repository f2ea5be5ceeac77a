// SPDX-License-Identifier: MIT
//
// fib of an n that the compiler knows: each level is a function of its own.
#include "common/heddle.h"
#include "common/constant.h"
#include "fib/problem.h"

namespace {

template <int N>
heddle::task<long> fib() {
  if constexpr (N < 2) {
    co_return N;
  } else {
    auto [a, b] = co_await heddle::fork_join(fib<N - 1>(), fib<N - 2>());
    co_return a + b;
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"fib_fixed", "heddle"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::fib::default_size, bench::fib::size_means);
  const int n = bench::checked_size(who, with.size, 1, bench::fib::most_fixed);
  return bench::run_all_on_heddle(who, with, bench::fib::expected(with.size), [n] {
    return bench::with_constant<1, bench::fib::most_fixed>(
        n, [](auto size) { return fib<decltype(size)::value>(); });
  });
}
