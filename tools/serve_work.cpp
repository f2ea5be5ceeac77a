// SPDX-License-Identifier: MIT
#include "serve_work.h"

#include <heddle/sched/fork_join.h>

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_reduce.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace serve {
namespace {

constexpr unsigned smallest_fork = 12;  // below it a fork costs more than the work

std::uint64_t fibonacci(unsigned n) noexcept {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

std::vector<std::uint32_t> primes_up_to(std::uint32_t limit) {
  std::vector<bool> composite(limit + 1);
  std::vector<std::uint32_t> primes;
  for (std::uint32_t i = 2; i <= limit; ++i) {
    if (composite[i]) continue;
    primes.push_back(i);
    for (std::uint64_t k = std::uint64_t{i} * i; k <= limit; k += i) composite[k] = true;
  }
  return primes;
}

/// Primes in [from, to), given all primes up to the root of `to`.
std::uint64_t count_in_segment(std::uint64_t from, std::uint64_t to,
                               const std::vector<std::uint32_t>& small) {
  std::vector<char> composite(to - from);
  for (const std::uint64_t p : small) {
    if (p * p >= to) break;
    for (std::uint64_t k = std::max(p * p, (from + p - 1) / p * p); k < to; k += p)
      composite[k - from] = 1;
  }
  return static_cast<std::uint64_t>(std::ranges::count(composite, 0));
}

}  // namespace

std::uint64_t hash_chain(std::uint64_t rounds) noexcept {
  std::uint64_t h = 0x9e3779b97f4a7c15;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    h ^= i;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
    h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
    h ^= h >> 31;
  }
  return h;
}

std::uint64_t count_primes(std::uint64_t limit) {
  if (limit < 2) return 0;
  constexpr std::uint64_t segment = 32 * 1024;  // what a first-level cache holds
  const auto small =
      primes_up_to(static_cast<std::uint32_t>(std::sqrt(static_cast<double>(limit))) + 1);
  const std::uint64_t segments = limit / segment + 1;
  return tbb::parallel_reduce(
      tbb::blocked_range<std::uint64_t>(0, segments), std::uint64_t{0},
      [&](const tbb::blocked_range<std::uint64_t>& range, std::uint64_t sum) {
        for (auto i = range.begin(); i != range.end(); ++i) {
          const auto from = std::max<std::uint64_t>(2, i * segment);
          const auto to = std::min(limit + 1, (i + 1) * segment);
          if (from < to) sum += count_in_segment(from, to, small);
        }
        return sum;
      },
      std::plus<>());
}

heddle::task<std::uint64_t> forked_fibonacci(unsigned n) {
  if (n < smallest_fork) co_return fibonacci(n);
  const auto [a, b] = co_await heddle::fork_join(forked_fibonacci(n - 1), forked_fibonacci(n - 2));
  co_return a + b;
}

void spin(heddle::duration time) noexcept {
  const auto until = heddle::saturating_add(heddle::clock::now(), time);
  while (heddle::clock::now() < until) {}
}

}  // namespace serve
