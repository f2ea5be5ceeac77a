// SPDX-License-Identifier: MIT
// A limit for one awaitable, and for a block.
#include <heddle/heddle.h>

#include <cstdio>

namespace h = heddle;
using namespace std::chrono_literals;

h::task<> eternity() {
  co_await h::sleep(1h);
  std::puts("yay!");
}

h::task<> wait_a_little() {
  try {
    co_await h::wait_for(eternity(), 20ms);
  } catch (const h::timeout_error&) { std::puts("timeout!"); }

  // async with asyncio.timeout(...): the block is a body.
  try {
    co_await h::timeout(20ms, [](h::timeout_scope& limit) -> h::task<> {
      limit.reschedule(h::clock::now() + 30ms);
      co_await eternity();
    });
  } catch (const h::timeout_error&) { std::puts("timeout again!"); }
}

int main() { h::run(wait_a_little()); }

// > timeout!
// > timeout again!
