// SPDX-License-Identifier: MIT
// Blocking work runs on a thread of its own, while the loops go on.
#include <heddle/heddle.h>

#include <cstdio>
#include <string>
#include <thread>

namespace h = heddle;
using namespace std::chrono_literals;

std::string blocking_io(int n) {
  std::this_thread::sleep_for(20ms);
  return "read " + std::to_string(n) + " bytes";
}

h::task<int> count_meanwhile() {
  int turns = 0;
  for (int i = 0; i < 5; ++i) {
    co_await h::sleep(1ms);
    ++turns;
  }
  co_return turns;
}

h::task<> both() {
  auto read = []() -> h::task<std::string> { co_return co_await h::to_thread(blocking_io, 512); };
  auto [text, turns] = co_await h::gather(read(), count_meanwhile());
  std::printf("%s, %d turns of the loop meanwhile\n", text.c_str(), turns);
}

int main() { h::run(both()); }

// > read 512 bytes, 5 turns of the loop meanwhile
