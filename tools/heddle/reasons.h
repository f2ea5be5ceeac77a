// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: what keeps one task from going on, as an indented text.
#pragma once

#include "circles.h"
#include "likely.h"

#include <heddle/core/seeing/output.h>

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

namespace tool {

class reasons {
 public:
  static constexpr std::size_t most_told = 1000;  // tasks of one text

  reasons(seeing::output& to, seeing::sight& from, circles& all, likely& likely_ones,
          bool all_frames)
      : to_(to), from_(from), all_(all), likely_(likely_ones), all_frames_(all_frames) {}

  /// The task, and below it what it waits for, down to what waits for nobody.
  void put(std::uint64_t record);
  /// What the threads do that are no loops.
  void put_threads(std::size_t depth);

 private:
  struct step {
    std::uint64_t record;
    std::size_t depth;
    std::string how;  // what stands in front of the task
  };
  bool put_circles_of(std::uint64_t record);
  void put_one(const step& s, std::vector<step>& next);
  void put_own_reason(const seeing::task_view& task, std::size_t depth);
  void put_likely(const seeing::task_view& task, std::size_t depth, std::vector<step>& next);
  void put_future(const seeing::task_view& task, std::size_t depth);
  void put_active(const seeing::task_view& task, std::size_t depth);
  void put_step(const seeing::loop_view& l, std::size_t depth);
  void put_descriptor(const seeing::task_view& task, std::size_t depth);
  void line(std::size_t depth, const std::string& text);

  seeing::output& to_;
  seeing::sight& from_;
  circles& all_;
  likely& likely_;
  bool all_frames_;
  std::unordered_set<std::uint64_t> told_;
};

/// True: one of `tasks` stands in a deadlock, or waits for a task that does.
[[nodiscard]] bool leads_to_deadlock(circles& all, const std::vector<std::uint64_t>& tasks);
/// The edges that lead from the task, as elements of an array.
void put_json_edges(seeing::output& to, seeing::sight& from, const seeing::wait_graph& graph,
                    std::uint64_t record, bool& first);

}  // namespace tool
