// SPDX-License-Identifier: MIT
// async for: a generator that awaits between its values.
#include <heddle/heddle.h>

#include <cstdio>

namespace h = heddle;
using namespace std::chrono_literals;

h::async_generator<int> ticker(int n) {
  for (int i = 0; i < n; ++i) {
    co_await h::sleep(1ms);
    co_yield i;
  }
}

h::task<> watch() {
  auto ticks = ticker(3);
  while (const int* tick = co_await ticks.next()) std::printf("tick %d\n", *tick);

  auto more = ticker(100);
  while (const int* tick = co_await more.next())
    if (*tick == 1) break;
  co_await more.aclose();  // a break alone leaves it open
  std::puts("closed after two");

  co_await h::for_each(ticker(2), [](int tick) { std::printf("tock %d\n", tick); });
}

int main() { h::run(watch()); }

// > tick 0
// > tick 1
// > tick 2
// > closed after two
// > tock 0
// > tock 1
