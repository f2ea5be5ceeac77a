// SPDX-License-Identifier: MIT
#include <oneapi/tbb/task_group.h>

#include <array>
#include <cstddef>

#include "common/onetbb.h"
#include "skynet/problem.h"

namespace {

using bench::skynet::fan_out;

long skynet(long first, long leaves) {
  if (leaves == 1) return first;
  const long part = leaves / fan_out;
  std::array<long, fan_out> sums{};
  oneapi::tbb::task_group group;
  for (long i = 1; i < fan_out; ++i) {
    group.run([&sums, i, first, part] {
      sums[static_cast<std::size_t>(i)] = skynet(first + i * part, part);
    });
  }
  sums[0] = skynet(first, part);
  group.wait();
  long sum = 0;
  for (const long s : sums) sum += s;
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"skynet", "onetbb"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::skynet::default_size, bench::skynet::size_means);
  bench::skynet::check_size(who, with.size);
  return bench::run_all_on_onetbb(who, with, bench::skynet::expected(with.size),
                                  [n = with.size] { return skynet(0, n); });
}
