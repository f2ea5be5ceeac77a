// SPDX-License-Identifier: MIT
// At most three at a time.
#include <heddle/heddle.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <vector>

namespace h = heddle;
using namespace std::chrono_literals;

h::task<> download(h::semaphore& slots, std::atomic<int>& now, std::atomic<int>& most) {
  co_await slots.acquire();
  const int inside = ++now;
  int before = most;
  while (before < inside && !most.compare_exchange_weak(before, inside)) {}
  co_await h::sleep(2ms);
  --now;
  slots.release();
}

h::task<> download_all() {
  h::semaphore slots(3);
  std::atomic<int> now{0}, most{0};
  std::vector<h::task<>> all;
  for (int i = 0; i < 12; ++i) all.push_back(download(slots, now, most));
  co_await h::gather(std::move(all));
  std::printf("12 downloads, never more than 3 at a time: %s\n", most <= 3 ? "yes" : "no");
}

int main() { h::run(download_all()); }

// > 12 downloads, never more than 3 at a time: yes
