// SPDX-License-Identifier: MIT
// Debug mode names what holds a loop up. The exception handler is called for that, and for errors
// that nobody awaited.
#include <heddle/heddle.h>

#include <cstdio>
#include <stdexcept>

namespace h = heddle;
using namespace std::chrono_literals;

h::task<> hold_up() {
  const auto end = h::clock::now() + 60ms;
  while (h::clock::now() < end) {}
  co_return;
}
h::task<> fail() {
  throw std::runtime_error("nobody looks");
  co_return;
}

h::task<> work() {
  co_await h::create_task(hold_up(), {.name = "slow one"});
  auto t = h::create_task(fail(), {.name = "forgotten one"});
  while (!t.done()) co_await h::sleep(1ms);
}

int main() {
  h::options o;
  o.loops = 1;
  o.debug = true;
  o.slow_callback = 50ms;
  o.exception_handler = [](const h::error_context& what) {
    if (what.took)
      std::printf("%s took too long\n", what.task.c_str());
    else
      std::printf("%s: %s: %s\n", what.task.c_str(), what.message.c_str(),
                  h::describe(what.error).c_str());
  };
  h::run(work(), o);
}

// > slow one took too long
// > forgotten one: an exception was never retrieved: std::runtime_error: nobody looks
