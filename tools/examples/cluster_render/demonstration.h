// SPDX-License-Identifier: MIT
// One run of the demonstration: all items become jobs, all outcomes are collected, counted and
// checked. It runs on one loop, as crew does.
#pragma once

#include "crew.h"
#include "settings.h"
#include "work.h"

#include <heddle/heddle.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace cluster_render {

/// What became of one item.
struct item {
  std::string id;             // of its job; empty: not accepted yet
  std::optional<answer> got;  // its outcome
  std::string error;          // what its outcome was instead
  unsigned runs = 0;          // that began
};

/// What the check at the end has found.
struct verdict {
  std::size_t missing = 0;    // items without an outcome that is a value
  std::size_t two = 0;        // items whose outcome was another when it was asked for again
  std::size_t different = 0;  // items whose outcome differs from the run in one process
  std::string checksum;       // of all outcomes
  [[nodiscard]] bool fine() const noexcept { return missing + two + different == 0; }
};

class demonstration {
 public:
  /// `c` is null without a cluster. Both outlive this object.
  demonstration(const settings& s, const work& w, const crew* c);

  /// Submits all, and waits for all outcomes.
  [[nodiscard]] heddle::task<> run_all();
  /// Compares with a second reading of the outcomes, over a connection of its own, and with the
  /// same computation in this process.
  [[nodiscard]] heddle::task<> check();
  /// Reads what workers have noted, again and again.
  [[nodiscard]] heddle::task<> count_runs();
  void count_runs_now();

  [[nodiscard]] const std::vector<item>& items() const noexcept { return items_; }
  /// Items that have an outcome, in the order in which they came.
  [[nodiscard]] const std::vector<std::size_t>& finished() const noexcept { return finished_; }
  [[nodiscard]] std::size_t submitted() const noexcept { return next_; }
  /// Runs beyond the first of each item.
  [[nodiscard]] std::size_t run_again() const noexcept;
  /// From the first submit to the last outcome, or to now.
  [[nodiscard]] double seconds() const;
  /// Jobs a second, of the last two seconds.
  [[nodiscard]] double rate() const;
  /// Once check() has ended.
  [[nodiscard]] const std::optional<verdict>& judged() const noexcept { return verdict_; }

 private:
  [[nodiscard]] heddle::task<> lane();
  [[nodiscard]] heddle::task<> one(std::size_t number);
  [[nodiscard]] heddle::task<std::size_t> ask_again();

  const settings settings_;
  const work& work_;
  const crew* crew_;
  std::vector<item> items_;
  std::vector<std::size_t> finished_;
  std::vector<heddle::time_point> finished_at_;
  std::size_t next_ = 0;
  std::size_t noted_ = 0;  // bytes of the log of runs that were read
  heddle::time_point begun_{};
  std::optional<heddle::time_point> ended_;
  std::optional<verdict> verdict_;
};

}  // namespace cluster_render
