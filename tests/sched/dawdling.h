// SPDX-License-Identifier: MIT
// What the simulated races share: tasks that end after a few steps, as the seed chooses.
#pragma once

#include "support/simulated.h"

#include <heddle/sched/sleep.h>

#include <chrono>
#include <stdexcept>

namespace dawdling {

namespace h = heddle;
namespace t = heddle::testing;
using namespace std::chrono_literals;
using simulated::require;
using simulated::seeds;

inline const std::uint64_t many = seeds(1000);

inline h::task<> dawdle(std::uint32_t most) {
  for (auto n = t::choose(most); n > 0; --n) co_await h::yield_now();
}

inline h::task<> fails_soon() {
  co_await dawdle(4);
  throw std::runtime_error("a child");
}

}  // namespace dawdling
