// SPDX-License-Identifier: MIT
// Tasks on all cores share a counter. In asyncio nothing else runs between two awaits. Here other
// tasks do, so there is a mutex.
#include <heddle/heddle.h>

#include <cstdio>
#include <vector>

namespace h = heddle;

struct account {
  h::mutex lock;
  long balance = 0;
};

h::task<> deposit(account& a) {
  for (int i = 0; i < 100; ++i) {
    auto guard = co_await a.lock.scoped_lock();  // async with lock:
    const long seen = a.balance;
    co_await h::yield_now();  // nobody else is inside
    a.balance = seen + 1;
  }
}

h::task<> bank() {
  account a;
  std::vector<h::task<>> all;
  for (int i = 0; i < 20; ++i) all.push_back(deposit(a));
  co_await h::gather(std::move(all));
  std::printf("balance %ld\n", a.balance);
}

int main() { h::run(bank(), {.loops = 4}); }

// > balance 2000
