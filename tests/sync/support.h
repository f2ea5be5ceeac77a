// SPDX-License-Identifier: MIT
// What the tests of the primitives share.
#pragma once

#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <support/endings.h>
#include <support/loops.h>
#include <support/waiting.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace support {

namespace h = heddle;
using namespace std::chrono_literals;

/// A fresh seed for each run, printed when a test fails. HEDDLE_TEST_SEED repeats one.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("HEDDLE_TEST_SEED");
  return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

}  // namespace support
