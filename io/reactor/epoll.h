// SPDX-License-Identifier: MIT
// Internal to io.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/reactor/subscriptions.h>

namespace heddle::detail {

/// A reactor by readiness. A descriptor is registered once for its life, edge-triggered, for both
/// directions. So no wait makes a system call to arm anything, and a message costs one recv and one
/// send.
///
/// When a loop is hogged, a rescuer fetches events from the same set. The kernel gives each edge to
/// one of the two threads.
class epoll_reactor final : public subscribing_reactor {
 public:
  epoll_reactor();
  ~epoll_reactor() override;

  unsigned poll(duration limit) override;
  void wake() noexcept override;
  unsigned rescue() noexcept override;
  [[nodiscard]] const char* name() const noexcept override { return "epoll"; }

  io_source& watch(int descriptor, source_owner* owner, watched_for purpose) override;
  /// Nothing to do: the kernel takes a descriptor out of the set when it is closed.
  void unwatch(io_source&) noexcept override {}
  void repeat_edge(io_source& source) noexcept override;
  void forget(int descriptor) noexcept override;

 private:
  static constexpr int batch = 256;

  unsigned dispatch(const void* list, int count) noexcept;

  fd set_;
  fd bell_;  // an eventfd that is written and never read: each write is an edge
};

}  // namespace heddle::detail
