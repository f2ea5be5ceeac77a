// SPDX-License-Identifier: MIT
// Internal to io.
// What the connections of one http::server count: requests, and how long the answers took.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/clock.h>
#include <heddle/io/http/server_stats.h>
#include <heddle/sched/runtime/drivers.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace heddle::http::detail {

/// Each loop counts in a cache line of its own, so counting costs no locked instruction. A reader
/// adds the loops up, and may miss what is counted meanwhile.
class counters {
 public:
  /// Before the first count.
  void start(unsigned loops);
  /// From a loop's thread: so many answers, of which `refused` never reached a handler.
  void count(unsigned requests, unsigned refused) noexcept {
    auto& mine = *by_loop_[heddle::detail::current_loop_index()];
    heddle::detail::bump<std::uint64_t>(mine.requests, requests);
    if (refused > 0) heddle::detail::bump<std::uint64_t>(mine.refused, refused);
  }
  /// From a loop's thread: an answer of those that count() counts shed load.
  void count_shed() noexcept {
    heddle::detail::bump<std::uint64_t>(by_loop_[heddle::detail::current_loop_index()]->shed, 1);
  }
  /// From a loop's thread: a client did not get its answer, or not all of it.
  void count_aborted() noexcept {
    heddle::detail::bump<std::uint64_t>(by_loop_[heddle::detail::current_loop_index()]->aborted, 1);
  }
  /// From a loop's thread: so many answers took `each`.
  void count_latency(unsigned requests, duration each) noexcept {
    auto& mine = *by_loop_[heddle::detail::current_loop_index()];
    const auto ns = static_cast<std::uint64_t>(std::max(each, duration::zero()).count());
    heddle::detail::bump<std::uint64_t>(mine.latency[latency_histogram::bucket(ns)], requests);
  }
  /// From any thread.
  void add_to(server_stats& sum) const noexcept;

 private:
  /// Written by the thread of its loop alone.
  struct alignas(64) of_loop {
    heddle::detail::atomic<std::uint64_t> requests{0};
    heddle::detail::atomic<std::uint64_t> refused{0};
    std::array<heddle::detail::atomic<std::uint64_t>, latency_histogram::size> latency{};
    heddle::detail::atomic<std::uint64_t> shed{0};
    heddle::detail::atomic<std::uint64_t> aborted{0};
  };

  std::vector<std::unique_ptr<of_loop>> by_loop_;
};

}  // namespace heddle::http::detail
