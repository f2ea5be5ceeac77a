// SPDX-License-Identifier: MIT
// What the tests of the primitives share.
#pragma once

#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

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

/// Joins `t` and tells how it ended: "value", "cancelled", or the error's text.
template <class T>
h::task<std::string> ending(h::task_handle<T> t) {
  try {
    co_await t;
    co_return "value";
  } catch (const h::cancelled_error& e) {
    co_return e.message().empty() ? "cancelled" : "cancelled: " + e.message();
  } catch (const std::exception& e) { co_return e.what(); }
}

/// A fresh seed for each run, printed when a test fails. HEDDLE_TEST_SEED repeats one.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("HEDDLE_TEST_SEED");
  return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

}  // namespace support
