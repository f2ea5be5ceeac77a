// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <utility>

#include "common/heddle.h"
#include "skynet/problem.h"

namespace {

using bench::skynet::fan_out;

heddle::task<long> skynet(long first, long leaves) {
  if (leaves == 1) co_return first;
  const long part = leaves / fan_out;
  std::array<heddle::task<long>, fan_out> children;
  for (long i = 0; i < fan_out; ++i)
    children[static_cast<std::size_t>(i)] = skynet(first + i * part, part);
  const std::array<long, fan_out> sums = co_await heddle::fork_join(std::move(children));
  long sum = 0;
  for (const long s : sums) sum += s;
  co_return sum;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"skynet", "heddle"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::skynet::default_size, bench::skynet::size_means);
  bench::skynet::check_size(who, with.size);
  return bench::run_all_on_heddle(who, with, bench::skynet::expected(with.size),
                                  [n = with.size] { return skynet(0, n); });
}
