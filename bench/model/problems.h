// SPDX-License-Identifier: MIT
//
// The problems that are counted and modelled. Compiled three times: over counting atomics, over
// charging ones, and over the processor's, which gives what the model is calibrated with.
#pragma once

#include <heddle/core/task.h>

#include <span>

namespace bench::model {

struct problem {
  const char* name;
  const char* title;  // of one operation
  bool modelled;      // it is to get faster with loops
  long sizes[3];      // full, quick, smoke; a first run, that does not count, is of the last
  /// What an operation took on one loop: the least of 20 runs of real.cpp on two processors of a
  /// virtual machine (Sapphire Rapids, 2 GHz). bench/run measures it anew.
  double operation_ns;
  /// Solves it on the calling runtime. Yields how many operations that were; throws on a wrong
  /// result.
  heddle::task<long> (*solve)(long size);
};

std::span<const problem> problems();
/// nullptr: none of that name.
const problem* find_problem(const char* name);

/// What a task does beside what the library does for it. Over charging atomics: charges what was
/// calibrated, and the cache line of its frame. Else nothing.
void in_body(const void* in_frame) noexcept;
/// Computes for so long.
void compute(long ns) noexcept;

}  // namespace bench::model
