// SPDX-License-Identifier: MIT
// Internal to io.
// How many bytes a transport has moved each way, and when it moved the last ones.
//
// Problem   Whoever ends idle connections, or shows them to people, asks for these numbers. Each
//           message would pay for a locked operation and for a look at the clock.
// Chosen    Each direction has one writer at a time, the holder of its role. So counting is a load
//           and a store. The time is that of the loop's last poll (loop_time).
// Cost      a call, three loads and two stores for each receive and each send
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/time_types.h>
#include <heddle/sched/loop/loop_time.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// One direction. Written by the holder of its role, read by any thread. The two numbers are read
/// apart, so the time may be that of the bytes before.
class one_way_traffic {
 public:
  void count(std::size_t n) noexcept {
    if (n == 0) [[unlikely]]
      return;
    bytes_.store(bytes_.load(relaxed) + n, relaxed);
    last_.store(loop_time().time_since_epoch().count(), relaxed);
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_.load(relaxed); }
  /// time_point(): there were no bytes.
  [[nodiscard]] time_point last() const noexcept {
    return time_point(duration(last_.load(relaxed)));
  }

 private:
  atomic<std::uint64_t> bytes_{0};
  atomic<std::int64_t> last_{0};
};

struct traffic {
  one_way_traffic in;   // the reader's role
  one_way_traffic out;  // the sender's role
};

}  // namespace heddle::detail
