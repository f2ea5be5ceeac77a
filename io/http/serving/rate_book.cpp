// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/rate_book.h>

#include <algorithm>

namespace heddle::http::detail {

duration rate_book::take(const std::string& client, time_point now) {
  const std::lock_guard lock(mutex_);
  auto at = by_client_.find(client);
  if (at == by_client_.end()) {
    if (order_.size() >= most_) {
      by_client_.erase(order_.back().client);
      order_.pop_back();
    }
    order_.push_front({client, burst_, now});
    at = by_client_.emplace(client, order_.begin()).first;
  } else {
    order_.splice(order_.begin(), order_, at->second);
  }
  auto& b = *at->second;
  const auto passed = static_cast<double>(std::max(now - b.filled, duration::zero()).count());
  const auto each = static_cast<double>(every_.count());
  b.tokens = std::min(burst_, b.tokens + passed / each);
  b.filled = std::max(b.filled, now);
  if (b.tokens >= 1) {
    b.tokens -= 1;
    return duration::zero();
  }
  return std::max(to_duration(std::chrono::duration<double, std::nano>((1 - b.tokens) * each)),
                  duration(1));
}

}  // namespace heddle::http::detail
