// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: recorded events as what people look at: tracks with slices and
// moments on them, and the ways from one to another.
#pragma once

#include "rings.h"

#include <heddle/core/seeing/sight.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tool {

enum class track_kind : std::uint8_t { loop, thread, io, timers, recording, stalls, spans };

struct timeline {
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  struct track {
    std::string name;
    track_kind kind = track_kind::loop;
    int thread = 0;              // the system's number; 0: it is no thread's own
    std::uint32_t under = none;  // the track that it belongs to
  };
  struct task {
    std::string id;        // "#64.1"
    std::string name;      // as the user gave it, or empty
    std::string function;  // of its first frame, or empty
    std::string file;      // where it was created, or empty
    std::uint32_t line = 0;
    std::string by;  // who created it, or empty
  };
  enum class what : std::uint8_t { step, strand, callback, parked, job, span, moment, gap, stall };
  /// A slice, or a moment: one whose end is its beginning.
  struct item {
    std::uint32_t on = 0;  // the track
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::uint32_t name = 0;       // of `texts`
    std::uint32_t task = none;    // of `tasks`
    std::uint32_t detail = none;  // of `texts`
    what kind = what::step;
  };
  /// From a moment or a slice at `at` to the beginning of another.
  struct flow {
    std::uint32_t from = 0;  // of `items`
    std::int64_t at = 0;
    std::uint32_t to = 0;  // of `items`
    const char* name = "";
  };
  /// What one loop's ring could tell.
  struct reach {
    std::uint32_t loop = 0;
    std::uint32_t track = none;
    std::int64_t since = 0;
    std::uint64_t rate = 0;  // steps of one task in so many; 0: of none
    std::int64_t gaps = 0;   // ns that were not recorded
    std::uint64_t lost = 0;
  };

  int process = 0;
  std::string command;
  std::int64_t begin = 0;  // the window, in ns of CLOCK_MONOTONIC
  std::int64_t end = 0;
  bool all = false;  // every step was asked for
  std::uint64_t events = 0;
  bool processor_clock = true;
  std::vector<track> tracks;
  std::vector<task> tasks;
  std::vector<item> items;
  std::vector<flow> flows;
  std::vector<std::string> texts;
  std::vector<reach> loops;

  [[nodiscard]] const std::string& text(std::uint32_t i) const { return texts[i]; }
};

/// Makes a timeline of what `from` has taken, between `begin` and its last take. Names come from
/// the process as it is now.
[[nodiscard]] timeline make_timeline(const rings& from, heddle::detail::seeing::sight& process,
                                     std::int64_t begin);

}  // namespace tool
