// SPDX-License-Identifier: MIT
// What an http::server has counted: requests, connections, and how long answers took.
//
//   EXPECT_EQ(s.server.stats().requests, 3u);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace heddle::http {

/// Counts of times, in buckets that are an eighth of a power of two wide. So a time that is read
/// from it is at most an eighth too long.
struct latency_histogram {
  static constexpr std::size_t size = 8 * 40;  // up to 2^40 ns, some 18 minutes
  std::array<std::uint64_t, size> counts{};

  /// The bucket that counts this time. Times beyond the last bucket are counted there.
  static std::size_t bucket(std::uint64_t ns) noexcept;
  /// The longest time of a bucket, in ns.
  static std::uint64_t upper_end(std::size_t bucket) noexcept;
  [[nodiscard]] std::uint64_t total() const noexcept;
  /// The time in ns that this share of all (0 to 1) does not exceed; 0 if none was counted.
  [[nodiscard]] std::uint64_t percentile(double share) const noexcept;
  /// Leaves what was counted since `earlier`.
  latency_histogram& operator-=(const latency_histogram& earlier) noexcept;
  /// Adds what the other one has counted.
  latency_histogram& operator+=(const latency_histogram& other) noexcept;
};

struct server_stats {
  std::uint64_t requests = 0;  // answered, whatever the answer
  // Of these, the ones that never reached a handler: malformed, too large, or too late.
  std::uint64_t refused = 0;
  std::size_t connections = 0;  // open now
  std::size_t working = 0;      // of these, at work on a request, and not waiting for their client
  latency_histogram latency;    // from the arrival of a request's last bytes to its answer's first
  // Answered 503 because a limit on what the server does at once was reached: max_requests,
  // max_held_bytes, max_connections.
  std::uint64_t shed = 0;
  std::size_t waiting = 0;  // requests that wait now for one of max_requests to end
  // Answers that were dropped, as a whole or from some byte on: their client was gone, or took
  // nothing for write_timeout.
  std::uint64_t aborted = 0;
  // `requests` by the hundreds of the answer's status: 1xx comes first. A streamed answer counts by
  // the status that its handler gave it.
  std::array<std::uint64_t, 5> by_class{};

  /// Adds the figures of another server.
  server_stats& operator+=(const server_stats& other) noexcept;
};

}  // namespace heddle::http
