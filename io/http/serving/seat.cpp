// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/seat.h>

#include <mutex>

namespace heddle::http::detail {

using guard = std::lock_guard<heddle::detail::spin_lock>;

bool departures::add(leaver& one) noexcept {
  const guard hold(lock_);
  if (announced_) return false;
  one.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &one;
  first_ = &one;
  return true;
}

void departures::remove(leaver& one) noexcept {
  const guard hold(lock_);
  if (first_ != &one && one.previous_ == nullptr) return;  // it was never added
  (one.previous_ != nullptr ? one.previous_->next_ : first_) = one.next_;
  if (one.next_ != nullptr) one.next_->previous_ = one.previous_;
  one.previous_ = one.next_ = nullptr;
}

void departures::announce() noexcept {
  const guard hold(lock_);
  announced_ = true;
  for (auto* one = first_; one != nullptr; one = one->next_) one->server_stops();
}

}  // namespace heddle::http::detail
