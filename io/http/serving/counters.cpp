// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/counters.h>

namespace heddle::http::detail {

using heddle::detail::relaxed;

void counters::start(unsigned loops) {
  while (by_loop_.size() < loops) by_loop_.push_back(std::make_unique<of_loop>());
}

void counters::add_to(server_stats& sum) const noexcept {
  for (const auto& one : by_loop_) {
    sum.requests += one->requests.load(relaxed);
    sum.refused += one->refused.load(relaxed);
    sum.shed += one->shed.load(relaxed);
    sum.aborted += one->aborted.load(relaxed);
    for (std::size_t i = 0; i < latency_histogram::size; ++i)
      sum.latency.counts[i] += one->latency[i].load(relaxed);
  }
}

}  // namespace heddle::http::detail
