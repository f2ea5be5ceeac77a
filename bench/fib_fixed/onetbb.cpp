// SPDX-License-Identifier: MIT
#include <oneapi/tbb/task_group.h>

#include "common/constant.h"
#include "common/onetbb.h"
#include "fib/problem.h"

namespace {

template <int N>
long fib() {
  if constexpr (N < 2) {
    return N;
  } else {
    long a = 0;
    oneapi::tbb::task_group group;
    group.run([&a] { a = fib<N - 1>(); });
    const long b = fib<N - 2>();
    group.wait();
    return a + b;
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"fib_fixed", "onetbb"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::fib::default_size, bench::fib::size_means);
  const int n = bench::checked_size(who, with.size, 1, bench::fib::most_fixed);
  return bench::run_all_on_onetbb(who, with, bench::fib::expected(with.size), [n] {
    return bench::with_constant<1, bench::fib::most_fixed>(
        n, [](auto size) { return fib<decltype(size)::value>(); });
  });
}
