// SPDX-License-Identifier: MIT
#include <oneapi/tbb/task_group.h>

#include "common/onetbb.h"
#include "fib/problem.h"

namespace {

// One child as a task and the other as a plain call: oneTBB's fastest shape, its documentation's
// own.
long fib(long n) {
  if (n < 2) return n;
  long a = 0;
  oneapi::tbb::task_group group;
  group.run([&a, n] { a = fib(n - 1); });
  const long b = fib(n - 2);
  group.wait();
  return a + b;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"fib", "onetbb"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::fib::default_size, bench::fib::size_means);
  return bench::run_all_on_onetbb(who, with, bench::fib::expected(with.size),
                                  [n = with.size] { return fib(n); });
}
