// SPDX-License-Identifier: MIT
//
// oneTBB has tasks and waits for them, and nothing that suspends one.
#include <oneapi/tbb/task_group.h>

#include <cstddef>

#include "common/onetbb.h"
#include "common/rows.h"

namespace {

void create_and_await(long n) {
  volatile int result = 0;
  oneapi::tbb::task_group group;
  for (long i = 0; i < n; ++i) {
    group.run([&result] { result = 1; });
    group.wait();
  }
}

void create_many(long n, long many) {
  std::vector<long> results(static_cast<std::size_t>(many));
  for (long done = 0; done < n; done += many) {
    oneapi::tbb::task_group group;
    for (long i = 0; i < many; ++i) {
      group.run([&result = results[static_cast<std::size_t>(i)], i] { result = i; });
    }
    group.wait();
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"primitives", "onetbb"};
  const auto with = bench::read_row_settings(argc, argv, who);
  bench::onetbb_threads threads(with.threads);
  return bench::run_rows(
      who, with,
      {{"create_task_and_await", 1, [&](long n) { threads.execute([=] { create_and_await(n); }); }},
       {"create_many_then_await", with.size,
        [&](long n) { threads.execute([=, many = with.size] { create_many(n, many); }); }}});
}
