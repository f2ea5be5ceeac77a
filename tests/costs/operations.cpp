// SPDX-License-Identifier: MIT
// What the cases of IN-COST count: `operations NAME N` does one operation N times, on one loop.
#include "operations.h"

#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sync/mutex.h>

#include <sys/prctl.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace costs {
namespace {

h::task<int> child() { co_return 1; }

h::task<> awaits(int n) {
  long sum = 0;
  for (int i = 0; i < n; ++i) sum += co_await child();
  if (sum != n) std::abort();
}

h::task<> yields(int n) {
  for (int i = 0; i < n; ++i) co_await h::yield_now();
}

h::task<> creates(int n) {
  long sum = 0;
  for (int i = 0; i < n; ++i) {
    auto t = h::create_task(child());
    sum += co_await t;
  }
  if (sum != n) std::abort();
}

h::task<> locks(int n) {
  h::mutex m;
  for (int i = 0; i < n; ++i) { auto held = co_await m.scoped_lock(); }
}

h::task<long> fib(int n) {
  if (n < 2) co_return n;
  auto both = h::fork_join(fib(n - 1), fib(n - 2));
  auto [a, b] = co_await std::move(both);
  co_return a + b;
}

/// As many calls as the 25th number has.
h::task<> forks(int) {
  auto all = fib(25);
  (void)co_await std::move(all);
}

long resident_bytes() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6) * 1024;
  return 0;
}

h::task<> one_sleep() { co_await h::sleep(std::chrono::hours(1)); }

/// Writes how many bytes of memory one more task that sleeps takes.
h::task<> sleepers(int n) {
  ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // huge pages would count as a whole
  std::vector<h::task_handle<>> all;
  all.reserve(static_cast<std::size_t>(n));
  std::memset(static_cast<void*>(all.data()), 0, all.capacity() * sizeof all[0]);
  const long before = resident_bytes();
  for (int i = 0; i < n; ++i) all.push_back(h::create_task(one_sleep()));
  co_await h::yield_now();
  std::printf("%ld\n", (resident_bytes() - before) / n);
  for (auto& t : all) (void)t.cancel();
  for (auto& t : all) {
    try {
      co_await t;
    } catch (const h::cancelled_error&) {}
  }
}

/// Writes how many threads the program has.
h::task<> threads(int) {
  const std::filesystem::directory_iterator first("/proc/self/task");
  std::printf("%td\n", std::distance(begin(first), end(first)));
  co_return;
}

struct operation {
  const char* name;
  h::task<> (*run)(int n);
};
constexpr operation operations[] = {
    {"awaits", awaits}, {"creates", creates},   {"forks", forks},     {"locks", locks},
    {"many", many},     {"sleepers", sleepers}, {"threads", threads}, {"yields", yields},
};

}  // namespace
}  // namespace costs

int main(int argc, char** argv) {
  for (const auto& o : costs::operations)
    if (argc == 3 && std::strcmp(o.name, argv[1]) == 0) {
      costs::h::options with;
      with.loops = 1;
      costs::h::run(o.run(std::atoi(argv[2])), with);
      return 0;
    }
  std::fputs("usage: operations NAME N, of these names:", stderr);
  for (const auto& o : costs::operations) std::fprintf(stderr, " %s", o.name);
  std::fputc('\n', stderr);
  return 64;
}
