// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the events that a program has recorded, copied from its rings.
#pragma once

#include <heddle/core/seeing/memory.h>
#include <heddle/core/seeing/trace_layout.h>

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;

struct recorded {
  std::uint64_t when = 0;  // ticks, 56 bits of them
  seeing::trace_event kind = seeing::trace_event::none;
  std::uint64_t what = 0;
};

/// One ring: of a loop, or of another thread.
struct copied_ring {
  seeing::address at = 0;
  seeing::trace_ring_image head{};
  std::vector<recorded> events;
  std::uint64_t next = 0;  // the number of the first event that was not taken yet
  std::uint64_t lost = 0;  // overwritten before they were taken
  bool known = false;      // it was taken, or skipped, before
};

class rings {
 public:
  /// `root`: program::tracing(). `from` outlives this. `lives`: it is the memory of a process of
  /// this machine, whose clocks are this machine's.
  rings(seeing::memory& from, seeing::address root, bool lives) noexcept
      : from_(&from), root_at_(root), lives_(lives) {}

  enum class state { good, none, unreadable, other_version, no_clock };
  /// Reads what recording begins with. none: nothing was ever recorded. no_clock: a core, which
  /// does not tell how fast the processor's counter ran.
  [[nodiscard]] state open();
  /// Takes the events that came since the last take; at first, all that are there. False: the
  /// memory could not be read, and what was taken before stays.
  bool take();
  /// What was not taken before is left out, and is no loss.
  void skip();

  [[nodiscard]] const std::vector<copied_ring>& all() const { return all_; }
  [[nodiscard]] std::vector<copied_ring>& all() { return all_; }
  [[nodiscard]] seeing::trace_clock clock() const {
    return static_cast<seeing::trace_clock>(root_.clock);
  }
  /// CLOCK_MONOTONIC in ns of 56 bits of ticks. After the last take.
  [[nodiscard]] std::int64_t time_of(std::uint64_t ticks) const;
  /// The time of the last take; of a core that of its last event.
  [[nodiscard]] std::int64_t taken_at() const { return taken_at_; }

  /// From here on until `until` (CLOCK_MONOTONIC, ns) every loop of the process records every step;
  /// 0: no longer. This is the one word that the tool writes into a process. False: errno tells why
  /// not.
  [[nodiscard]] bool record_all(pid_t process, std::int64_t until) const;

 private:
  bool find();
  bool take(copied_ring& of);
  void read_clocks();
  [[nodiscard]] std::int64_t last_event() const;

  seeing::memory* from_;
  seeing::address root_at_;
  bool lives_;
  seeing::trace_root_image root_{};
  std::vector<copied_ring> all_;
  std::uint64_t now_ticks_ = 0;
  std::int64_t now_ns_ = 0;
  std::int64_t taken_at_ = 0;
};

/// CLOCK_MONOTONIC, in ns.
[[nodiscard]] std::int64_t monotonic_now();

}  // namespace tool
