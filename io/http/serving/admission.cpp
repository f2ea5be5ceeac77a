// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/admission.h>

#include <heddle/core/errors.h>
#include <heddle/sched/wait_for.h>

#include <utility>

namespace heddle::http::detail {

using heddle::detail::relaxed;

admission::admission(const server_options& o)
    : has_limit_(o.max_requests != 0),
      most_waiting_(o.max_waiting_requests),
      longest_wait_(o.max_request_wait.get()),
      places_(heddle::detail::checked<std::ptrdiff_t>(o.max_requests, "max_requests")) {}

task<admission::permit> admission::wait() {
  struct counted {
    heddle::detail::atomic<std::size_t>& all;
    const std::size_t before = all.fetch_add(1, relaxed);
    explicit counted(heddle::detail::atomic<std::size_t>& n) noexcept : all(n) {}
    counted(const counted&) = delete;
    ~counted() { all.fetch_sub(1, relaxed); }
  } const here(waiting_);
  permit mine;
  if (here.before >= most_waiting_) co_return mine;
  auto asking = places_.scoped_acquire();
  try {
    auto limited = wait_for(asking, longest_wait_);
    mine = co_await std::move(limited);
  } catch (const timeout_error&) {  // the turn has not come in time
  }
  co_return mine;
}

}  // namespace heddle::http::detail
