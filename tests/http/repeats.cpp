// SPDX-License-Identifier: MIT
// How long a repeated request waits.
#include <heddle/io/http/calling/repeats.h>

#include <gtest/gtest.h>

#include <chrono>

namespace {

using namespace heddle;
using namespace std::chrono_literals;
using http::detail::wait_before;

TEST(HttpRepeats, AWaitIsWhatRetryAfterSaysButNotBeyondItsLimit) {
  http::retry how;
  how.max_delay = 90s;
  EXPECT_EQ(wait_before(how, 0, "1", 0), 1s);
  EXPECT_EQ(wait_before(how, 5, "0", 0), 0s);
  EXPECT_EQ(wait_before(how, 0, "86400", 0), 90s);
  EXPECT_EQ(wait_before(how, 0, "Thu, 01 Jan 1970 00:01:00 GMT", 20), 40s);
  EXPECT_EQ(wait_before(how, 0, "Thu, 01 Jan 1970 00:01:00 GMT", 100), 0s);
}

TEST(HttpRepeats, WithoutAWordTheWaitDoublesWithChance) {
  http::retry how;
  how.delay = 100ms;
  how.max_delay = 1s;
  for (unsigned n = 0; n < 8; ++n) {
    const auto most = std::min<duration>(duration(100ms) * (1 << n), 1s);
    for (int i = 0; i < 50; ++i) {
      const auto wait = wait_before(how, n, std::nullopt, 0);
      EXPECT_LE(wait, most);
      EXPECT_GE(wait, most / 2);
      EXPECT_EQ(wait_before(how, n, "soon", 0) <= most, true);
    }
  }
}

}  // namespace
