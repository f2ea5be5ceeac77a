// SPDX-License-Identifier: MIT
// Lets the n-th allocation of a program fail: operator new of this executable counts, and refuses
// when it is told to.
#pragma once

#include <heddle/sched/runtime.h>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace memory {

namespace h = heddle;

/// Which allocations fail: the `first` one (counted from 1, on all threads together) and those
/// behind it, `many` in all.
struct shortage {
  std::uint64_t first = 0;
  std::uint64_t many = 1;
};

/// From here on allocations are counted, and fail as `s` says. One at a time.
void begin(shortage s) noexcept;
/// No more of them fail. Returns how many did.
std::uint64_t end() noexcept;
/// Calls `f` where an allocation fails, just before it does: what others do meanwhile. Allocations
/// of that thread in `f` succeed and are not counted. Null: no more.
void call_where_it_fails(void (*f)()) noexcept;

/// What a program is tried with, and named by when it is stuck or brings the process down.
struct setting {
  const char* program;
  unsigned loops;
  h::reactor_kind reactor;
};

/// Runs `program` in a fresh runtime with the first allocation failing, then the second, until one
/// run needs fewer allocations than that; once with one failure at a time, once with eight in a
/// row. Each run must end with the right value, with an error that says that memory was short, or
/// with a report that says so. Behind it, with memory again, the same runtime must give the right
/// value: no lock was kept, no task lost.
void survives(setting s, const std::function<h::task<int>()>& program, int expected);

}  // namespace memory
