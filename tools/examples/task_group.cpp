// SPDX-License-Identifier: MIT
// A task group: when the block is left, every task that was started in it is over. A task that
// fails cancels the others.
#include <heddle/heddle.h>

#include <cstdio>
#include <stdexcept>

namespace h = heddle;
using namespace std::chrono_literals;

h::task<int> square(int n) {
  co_await h::sleep(1ms);
  co_return n* n;
}
h::task<> fail() {
  co_await h::sleep(1ms);
  throw std::runtime_error("no luck");
}
h::task<> wait_long(bool& cancelled) {
  try {
    co_await h::sleep(1h);
  } catch (const h::cancelled_error&) {
    cancelled = true;
    throw;
  }
}

h::task<> both() {
  h::task_handle<int> three, four;
  co_await h::with_task_group([&](h::task_group& g) {
    three = g.create_task(square(3));
    four = g.create_task(square(4));
  });
  std::printf("%d\n", three.result() + four.result());

  bool cancelled = false;
  try {
    co_await h::with_task_group([&](h::task_group& g) {
      g.create_task(wait_long(cancelled));
      g.create_task(fail());
    });
  } catch (const h::exception_group& group) {
    for (const auto& error : group.exceptions()) std::puts(h::describe(error).c_str());
  }
  std::puts(cancelled ? "the other was cancelled" : "?");
}

int main() { h::run(both(), {.loops = 1}); }

// > 25
// > std::runtime_error: no luck
// > the other was cancelled
