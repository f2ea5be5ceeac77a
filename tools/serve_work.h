// SPDX-License-Identifier: MIT
// The work that heddle-serve does on request. Each kind has its place: a loop, all loops, a thread,
// the arena.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/task.h>

#include <cstdint>

namespace serve {

/// A chain of `rounds` 64-bit mixing steps: CPU work that no compiler shortens. For to_thread.
std::uint64_t hash_chain(std::uint64_t rounds) noexcept;

/// How many primes there are up to `limit`, by a segmented sieve in oneTBB's parallel_reduce. For
/// to_arena.
std::uint64_t count_primes(std::uint64_t limit);

/// Fibonacci's number by plain recursion. Each step above the smallest forks: work for all loops.
heddle::task<std::uint64_t> forked_fibonacci(unsigned n);

/// Keeps the thread busy. On a loop's thread it hogs the loop.
void spin(heddle::duration time) noexcept;

}  // namespace serve
