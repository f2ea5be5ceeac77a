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

/// Answers of one connection that are not counted yet, by the hundreds of their status.
//
// Twelve bits for each hundred, those of 200 first: for most answers adding one is one addition. A
// connection counts its answers when they are sent, at the latest behind 64 KiB of them: some
// hundred bytes each.
class answer_tally {
 public:
  void add(int status) noexcept {
    if (static_cast<unsigned>(status) - 200 < 100) [[likely]]
      ++packed_;
    else
      packed_ += std::uint64_t{1} << shift_of(class_of(status));
  }
  [[nodiscard]] bool empty() const noexcept { return packed_ == 0; }
  [[nodiscard]] std::uint64_t of(std::size_t status_class) const noexcept {
    return (packed_ >> shift_of(status_class)) & 0xfff;
  }
  /// There are none but those of the class 2xx.
  [[nodiscard]] bool is_plain() const noexcept { return packed_ <= 0xfff; }

  static constexpr std::size_t plain = 1;  // the class of 2xx, as server_stats::by_class has it

 private:
  static constexpr unsigned shift_of(std::size_t status_class) noexcept {
    return status_class == plain ? 0
           : status_class == 0   ? 12
                                 : 12 * static_cast<unsigned>(status_class);
  }
  static std::size_t class_of(int status) noexcept {
    return static_cast<std::size_t>(std::clamp(status / 100, 1, 5) - 1);
  }

  std::uint64_t packed_ = 0;
};

/// Each loop counts in a cache line of its own, so counting costs no locked instruction. A reader
/// adds the loops up, and may miss what is counted meanwhile.
class counters {
 public:
  /// Before the first count.
  void start(unsigned loops);
  /// From a loop's thread: these answers are about to be sent.
  void count(const answer_tally& answers) noexcept {
    auto& mine = *by_loop_[heddle::detail::current_loop_index()];
    if (const auto n = answers.of(answer_tally::plain); n != 0)
      heddle::detail::bump(mine.by_class[answer_tally::plain], n);
    if (!answers.is_plain()) [[unlikely]]
      count_others(mine, answers);
  }
  /// From a loop's thread: a request never reached a handler. Its answer is counted by count().
  void count_refused() noexcept {
    heddle::detail::bump<std::uint64_t>(by_loop_[heddle::detail::current_loop_index()]->refused, 1);
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
    std::array<heddle::detail::atomic<std::uint64_t>, 5> by_class{};
    heddle::detail::atomic<std::uint64_t> refused{0};
    std::array<heddle::detail::atomic<std::uint64_t>, latency_histogram::size> latency{};
    heddle::detail::atomic<std::uint64_t> shed{0};
    heddle::detail::atomic<std::uint64_t> aborted{0};
  };
  static void count_others(of_loop& mine, const answer_tally& answers) noexcept;

  std::vector<std::unique_ptr<of_loop>> by_loop_;
};

}  // namespace heddle::http::detail
