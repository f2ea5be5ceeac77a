// SPDX-License-Identifier: MIT
#include <heddle/sched/fork_join.h>

namespace heddle::detail {

void join_errors::see(const std::exception_ptr& e) noexcept {
  auto& first = is_cancellation(e) ? first_cancelled_ : first_;
  if (!first) first = e;
}

void join_errors::raise(promise_base& parent) {
  if (first_) std::rethrow_exception(std::move(first_));
  (void)parent.enclosing()
      .state()
      .take_cancel();  // it was delivered: to the children, and now here
  std::rethrow_exception(std::move(first_cancelled_));
}

}  // namespace heddle::detail
