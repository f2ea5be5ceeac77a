// SPDX-License-Identifier: MIT
// async with: a manager is entered and left, whatever happens in between. Both may wait.
#include <heddle/heddle.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

namespace h = heddle;
using namespace std::chrono_literals;

class session {
 public:
  h::task<int> enter() {
    co_await h::sleep(1ms);
    std::puts("connected");
    co_return 42;
  }
  h::task<> exit(std::exception_ptr error) {
    co_await h::sleep(1ms);
    std::printf("disconnected%s\n", error ? ", after an error" : "");
  }
};

h::task<> talk() {
  session s;
  co_await h::with(s, [](int id) -> h::task<> {
    std::printf("talking as %d\n", id);
    co_return;
  });
  try {
    co_await h::with(s, [](int) -> h::task<> {
      throw std::runtime_error("the line broke");
      co_return;
    });
  } catch (const std::exception& e) { std::puts(e.what()); }
}

int main() { h::run(talk()); }

// > connected
// > talking as 42
// > disconnected
// > connected
// > disconnected, after an error
// > the line broke
