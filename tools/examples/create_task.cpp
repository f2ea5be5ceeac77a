// SPDX-License-Identifier: MIT
// A task runs on its own from its creation. Its handle joins it, names it, and asks how it ended.
#include <heddle/heddle.h>

#include <cstdio>
#include <string>

namespace h = heddle;
using namespace std::chrono_literals;

h::task<std::string> brew(std::string what) {
  co_await h::sleep(10ms);
  co_return what + " is ready";
}

h::task<> breakfast() {
  auto coffee = h::create_task(brew("coffee"), {.name = "coffee machine"});
  // A callable and its arguments are kept for as long as the task lives. So this is the way for
  // lambdas with captures.
  std::string kind = "green tea";
  auto tea = h::create_task([kind]() -> h::task<std::string> { return brew(kind); });
  std::printf("%s runs\n", coffee.get_name().c_str());
  std::puts((co_await coffee).c_str());
  std::puts((co_await tea).c_str());
  std::puts(coffee.done() && tea.done() ? "both are done" : "?");
}

int main() { h::run(breakfast()); }

// > coffee machine runs
// > coffee is ready
// > green tea is ready
// > both are done
