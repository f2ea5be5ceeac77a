// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/counters.h>

namespace heddle::http::detail {

using heddle::detail::relaxed;

void counters::start(unsigned loops) {
  while (by_loop_.size() < loops) by_loop_.push_back(std::make_unique<of_loop>());
}

void counters::count_others(of_loop& mine, const answer_tally& answers) noexcept {
  for (std::size_t i = 0; i < mine.by_class.size(); ++i)
    if (i != answer_tally::plain && answers.of(i) != 0)
      heddle::detail::bump(mine.by_class[i], answers.of(i));
}

void counters::add_to(server_stats& sum) const noexcept {
  for (const auto& one : by_loop_) {
    for (std::size_t i = 0; i < sum.by_class.size(); ++i) {
      const auto n = one->by_class[i].load(relaxed);
      sum.by_class[i] += n;
      sum.requests += n;
    }
    sum.refused += one->refused.load(relaxed);
    sum.shed += one->shed.load(relaxed);
    sum.aborted += one->aborted.load(relaxed);
    for (std::size_t i = 0; i < latency_histogram::size; ++i)
      sum.latency.counts[i] += one->latency[i].load(relaxed);
  }
}

}  // namespace heddle::http::detail
