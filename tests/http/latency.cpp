// SPDX-License-Identifier: MIT
// The histogram in which http::server counts how long answers took.
#include <heddle/io/http/server_stats.h>

#include <gtest/gtest.h>

#include <cstdint>

namespace {

namespace http = heddle::http;

TEST(LatencyHistogram, PutsEveryTimeInABucketAtMostAnEighthTooWide) {
  std::size_t last = 0;
  for (std::uint64_t ns = 1; ns < (1ull << 40); ns += 1 + ns / 37) {
    const auto b = http::latency_histogram::bucket(ns);
    EXPECT_GE(b, last);
    EXPECT_GE(http::latency_histogram::upper_end(b), ns);
    EXPECT_LE(http::latency_histogram::upper_end(b), ns + ns / 8);
    if (b > 0) EXPECT_LT(http::latency_histogram::upper_end(b - 1), ns);
    last = b;
  }
  EXPECT_EQ(http::latency_histogram::bucket(~0ull), http::latency_histogram::size - 1);
}

TEST(LatencyHistogram, TellsPercentilesOfAPeriod) {
  http::latency_histogram before;
  EXPECT_EQ(before.percentile(0.5), 0u);
  before.counts[http::latency_histogram::bucket(1'000'000)] = 50;
  auto now = before;
  now.counts[http::latency_histogram::bucket(100)] += 98;
  now.counts[http::latency_histogram::bucket(5000)] += 2;
  now -= before;
  EXPECT_EQ(now.total(), 100u);
  EXPECT_EQ(now.percentile(0.5),
            http::latency_histogram::upper_end(http::latency_histogram::bucket(100)));
  EXPECT_EQ(now.percentile(0.99),
            http::latency_histogram::upper_end(http::latency_histogram::bucket(5000)));
  EXPECT_EQ(now.percentile(1),
            http::latency_histogram::upper_end(http::latency_histogram::bucket(5000)));
}

}  // namespace
