// SPDX-License-Identifier: MIT
// A cancellation comes as an exception, where the task waits. Cleaning up may wait again.
#include <heddle/heddle.h>

#include <cstdio>

namespace h = heddle;
using namespace std::chrono_literals;

h::task<> work(h::event& started) {
  bool cancelled = false;
  try {
    std::puts("work: waiting for an hour");
    started.set();
    co_await h::sleep(1h);
  } catch (const h::cancelled_error& e) {
    std::printf("work: cancelled (%s)\n", e.message().c_str());
    cancelled = true;
  }
  // C++ cannot await inside a catch block. What Python does in `except` or `finally` comes behind
  // it.
  co_await h::sleep(1ms);
  std::puts("work: cleaned up");
  if (cancelled) throw h::cancelled_error();
}

h::task<> run_for_a_while() {
  h::event started;
  auto t = h::create_task(work(started));
  co_await started.wait();
  t.cancel("no time left");
  try {
    co_await t;
  } catch (const h::cancelled_error&) { std::puts("main: it is cancelled now"); }
}

int main() { h::run(run_for_a_while()); }

// > work: waiting for an hour
// > work: cancelled (no time left)
// > work: cleaned up
// > main: it is cancelled now
