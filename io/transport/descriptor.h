// SPDX-License-Identifier: MIT
// Internal to io. What the transports through a watched descriptor share.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/transport/transport.h>

#include <cstdint>

namespace heddle::detail {

/// A descriptor that a reactor watches, and how much of its events the reader has seen.
//
// descriptor_                  written by watch() and close(), read by anybody
// source_, name_               constant after watch()
// is_drained_, drained_at_     the reader's role
// resets_                      the closer's role, then whoever calls close()
class descriptor_transport : public transport {
 public:
  /// Watches `end` with `home` and tells `owner`, at once. Throws std::system_error or
  /// std::bad_alloc; then `end` is closed.
  void watch(fd end, reactor& home, source_owner& owner, watched_for purpose);

  [[nodiscard]] bool wait(waiter& w, task_record& t) noexcept override;
  void look_away() noexcept override;
  [[nodiscard]] int standing_error() noexcept override;
  void nudge() noexcept override;
  [[nodiscard]] int descriptor() const noexcept final {
    return descriptor_.load(acquire);  // pairs with close()
  }
  [[nodiscard]] io_source* source() const noexcept final { return source_; }
  void retire(bool reset) noexcept override;
  void close() noexcept override;

 protected:
  using transport::transport;

  /// Between settling and closing of the descriptor.
  virtual void before_close(int) noexcept {}

  io_source* source_ = nullptr;
  source_name name_;
  std::uint32_t drained_at_ = 0;
  bool is_drained_ = false;
  bool resets_ = false;  // how it is closed

 private:
  atomic<int> descriptor_{-1};
};

}  // namespace heddle::detail
