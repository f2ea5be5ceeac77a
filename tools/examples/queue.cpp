// SPDX-License-Identifier: MIT
// Producers and consumers. The queue is bounded, so a producer that is too fast waits.
#include <heddle/heddle.h>

#include <atomic>
#include <cstdio>
#include <vector>

namespace h = heddle;

h::task<> worker(h::queue<int>& jobs, std::atomic<long>& sum) {
  for (;;) {
    const int job = co_await jobs.get();
    sum += job;
    jobs.task_done();
  }
}

h::task<> share_work() {
  h::queue<int> jobs(8);
  std::atomic<long> sum{0};
  std::vector<h::task_handle<>> workers;
  for (int i = 0; i < 3; ++i) workers.push_back(h::create_task(worker(jobs, sum)));
  for (int i = 1; i <= 100; ++i) co_await jobs.put(i);
  co_await jobs.join();  // every job is done
  for (auto& w : workers) w.cancel();
  (void)co_await h::gather_settled(std::move(workers));
  std::printf("sum %ld\n", sum.load());
}

int main() { h::run(share_work()); }

// > sum 5050
