// SPDX-License-Identifier: MIT
//
// Fairness: how late a 1 ms timer fires, and how long a ready socket waits, while a storm of tasks
// keeps every thread busy. The storm and who serves are the peer's; here is the other end of the
// socket, and what becomes of the samples.
//
// The other end is a thread that sleeps nearly always: it has one message under way, in which it
// writes the time of sending, and its naps are irregular, so that they fall in step with no timer.
// With as many storming threads as processors the kernel takes its time from them; how much that
// alone costs is what the peer `threads` shows, in which nothing but the kernel decides.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

#include "common/program.h"

namespace bench::fairness {

inline constexpr long default_size = 2000;
inline constexpr std::string_view size_means = "milliseconds of each storm";
inline constexpr std::int64_t period_ns = 1'000'000;    // of the timer
inline constexpr std::int64_t warm_up_ns = 20'000'000;  // of a storm, which is not counted
inline constexpr long expected_least = 5;               // samples without which there was no storm

/// Delays seen, in nanoseconds. One writer.
class delays {
 public:
  delays() { all_.reserve(1 << 16); }
  void add(std::int64_t ns) { all_.push_back(ns); }
  std::size_t count() const { return all_.size(); }
  /// 0 to 1; 1 is the largest. 0 without samples.
  std::int64_t quantile(double q) {
    if (all_.empty()) return 0;
    std::sort(all_.begin(), all_.end());
    const auto at = static_cast<std::size_t>(q * static_cast<double>(all_.size()));
    return all_[std::min(at, all_.size() - 1)];
  }

 private:
  std::vector<std::int64_t> all_;
};

/// What a message holds: when it was sent, by now_ns().
using message = std::array<char, sizeof(std::int64_t)>;

/// Connects to `port` of 127.0.0.1 and sends messages, each answered by an echo before the next,
/// until `over` or until the other side is gone. Blocks the calling thread.
void send_messages(std::uint16_t port, const std::atomic<bool>& over);

/// A listening socket of 127.0.0.1 for peers that have no server of their own, and its port.
int listen_anywhere(std::uint16_t& port);

inline std::int64_t sent_at(const char* bytes) {
  std::int64_t at = 0;
  std::copy_n(bytes, sizeof at, reinterpret_cast<char*>(&at));
  return at;
}

/// Prints the line of a storm. False: there were too few samples, or steps of the storm.
bool print(const identity& who, const settings& with, std::string_view storm, long steps,
           delays& timer, delays& socket);

}  // namespace bench::fairness
