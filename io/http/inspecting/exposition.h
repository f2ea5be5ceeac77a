// SPDX-License-Identifier: MIT
// Internal to io.
// The text in which Prometheus reads figures (text format 0.0.4): families of samples.
//
//   exposition to;
//   to.family("heddle_tasks", exposition::gauge, "Tasks that have not ended.");
//   to.sample({{"runtime", "1"}}, 42);
#pragma once

#include <heddle/sched/duration_histogram.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http::detail {

class exposition {
 public:
  enum kind : std::uint8_t { counter, gauge, histogram };
  using label = std::pair<std::string_view, std::string_view>;
  using labels = std::initializer_list<label>;

  /// The samples that follow are of this family. A name comes once. The name of a counter ends with
  /// _total.
  void family(std::string_view name, kind what, std::string_view help);
  void sample(labels of, std::uint64_t value);
  void sample(labels of, double value);
  /// Of a family that is a histogram: its buckets, in seconds, their sum and their count.
  void sample(labels of, const duration_histogram& times);
  /// A family of one sample without a label.
  template <class Value>
  void only(std::string_view name, kind what, std::string_view help, const Value& value) {
    family(name, what, help);
    sample({}, value);
  }

  [[nodiscard]] std::string take() noexcept { return std::move(text_); }

 private:
  void put_name(std::string_view suffix, labels of, std::string_view bound);
  void put_value(std::uint64_t value);
  void put_value(double value);

  std::string text_;
  std::string name_;
};

}  // namespace heddle::http::detail
