// SPDX-License-Identifier: MIT
// The first program of asyncio's documentation.
#include <heddle/heddle.h>

#include <cstdio>

namespace h = heddle;
using namespace std::chrono_literals;

h::task<> hello() {
  std::puts("Hello ...");
  co_await h::sleep(50ms);
  std::puts("... World!");
}

int main() { h::run(hello()); }

// > Hello ...
// > ... World!
