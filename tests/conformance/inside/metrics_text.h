// SPDX-License-Identifier: MIT
// A reader of the text that Prometheus reads (format 0.0.4), which is stricter than Prometheus: it
// refuses what the format leaves open, but what heddle promises.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace conformance {

struct metrics_text {
  struct sample {
    double value = 0;
    std::string type;    // "counter", "gauge", "histogram"
    bool grows = false;  // it may not fall
  };
  /// By name and labels, as they stand in the text.
  std::map<std::string, sample> samples = {};
  /// The first thing that is wrong; empty: nothing.
  std::string wrong = {};

  static metrics_text read(std::string_view text);
  /// The value; -1: there is no such sample.
  [[nodiscard]] double at(const std::string& name) const;
};

}  // namespace conformance
