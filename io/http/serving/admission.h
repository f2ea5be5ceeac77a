// SPDX-License-Identifier: MIT
// Internal to io.
// Which requests a server works on at once, and which wait for their turn.
//
// Problem   A server that gets more requests than it can do takes longer for each, until no client
//           waits for its answer any more. Then all the work is in vain.
// Rejected  A queue without bounds: it only moves the wait. A limit on connections alone: idle ones
//           count as much as busy ones. A limit learned from latencies: nobody can tell from
//           outside why a request was refused.
// Chosen    A semaphore for the requests at work (server_options::max_requests), and a bounded
//           queue before it, bounded also in time. All others are refused at once.
// Promised  A request is at work, or refused, within max_request_wait. Those that wait come in
//           order of arrival; a newcomer overtakes nobody.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/options.h>
#include <heddle/sync/semaphore.h>

#include <cstddef>

namespace heddle::http::detail {

/// One server's.
/// Thread-safety  everything, from any loop
class admission {
 public:
  /// The right to be at work. It gives itself back.
  using permit = semaphore::permit;

  /// Throws bad_value for a limit that no semaphore can have.
  explicit admission(const server_options& o);

  [[nodiscard]] bool has_limit() const noexcept { return has_limit_; }
  /// Empty: as many as may are at work, or others wait already.
  [[nodiscard]] permit enter() noexcept {
    return places_.try_acquire() ? permit(places_) : permit();
  }
  /// Waits for a place. Empty: too many wait already, or the time has passed. Outlived by this.
  /// Cancel  leaves the queue
  [[nodiscard]] task<permit> wait();
  /// Requests that wait now.
  [[nodiscard]] std::size_t waiting() const noexcept {
    return waiting_.load(heddle::detail::relaxed);
  }

 private:
  const bool has_limit_;
  const std::size_t most_waiting_;
  const duration longest_wait_;
  semaphore places_;
  heddle::detail::atomic<std::size_t> waiting_{0};
};

}  // namespace heddle::http::detail
