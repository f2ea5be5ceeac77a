// SPDX-License-Identifier: MIT
// Three computations at once. The results come in the order of the arguments.
#include <heddle/heddle.h>

#include <cstdio>

namespace h = heddle;

h::task<long> factorial(int n) {
  long product = 1;
  for (int i = 2; i <= n; ++i) {
    co_await h::yield_now();  // the others run meanwhile, here or on another core
    product *= i;
  }
  co_return product;
}

h::task<> compute() {
  auto [a, b, c] = co_await h::gather(factorial(3), factorial(5), factorial(10));
  std::printf("%ld %ld %ld\n", a, b, c);

  // What Python writes as gather(*list, return_exceptions=True).
  auto fail = []() -> h::task<long> {
    throw h::bad_value("no such number");
    co_return 0;
  };
  std::vector<h::task<long>> some;
  some.push_back(factorial(4));
  some.push_back(fail());
  for (auto& result : co_await h::gather_settled(std::move(some))) {
    if (result)
      std::printf("%ld\n", result.value());
    else
      std::puts(h::describe(result.error()).c_str());
  }
}

int main() { h::run(compute()); }

// > 6 120 3628800
// > 24
// > heddle::bad_value: no such number
