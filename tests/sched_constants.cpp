// SPDX-License-Identifier: MIT
// Handles, futures and shields that are constants, as a lambda that captured them by value has them: every verb takes them.
#include <heddle/heddle.h>

#include <gtest/gtest.h>

#include "support/loops.h"

#include <optional>
#include <vector>

namespace h = heddle;
using namespace std::chrono_literals;

namespace {

class Constants : public heddle_tests::OnLoops {};
INSTANTIATE_TEST_SUITE_P(Loops, Constants, heddle_tests::some_loops);

h::task<int> later(int value) {
  co_await h::yield_now();
  co_return value;
}

}  // namespace
