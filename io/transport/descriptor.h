// SPDX-License-Identifier: MIT
// Internal to io. What all transports over a watched descriptor share: socket, pipe and ring.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/transport/transport.h>

#include <cstdint>

namespace heddle::detail {

/// A descriptor that a reactor watches, and how many of its edges the reader has seen.
//
// descriptor_                  Written by watch() and close(); read by any thread.
// source_, name_               constant after watch()
// is_drained_, drained_at_     The reader's role. Drained: nothing stood in the descriptor when its
//                              count of edges was drained_at_.
// resets_, drops_              the closer's role, then the thread that calls close()
class descriptor_transport : public transport {
 public:
  /// `home` watches `end` from here on, and tells `owner`, perhaps before this returns. Throws
  /// std::system_error or std::bad_alloc; then `end` is closed.
  void watch(fd end, reactor& home, source_owner& owner, watched_for purpose);

  [[nodiscard]] bool wait(waiter& w, task_record& t) noexcept override;
  void look_away() noexcept override;
  [[nodiscard]] int standing_error() noexcept override;
  [[nodiscard]] bool is_over() noexcept override;
  void nudge() noexcept override;
  [[nodiscard]] int descriptor() const noexcept final {
    // pairs with the exchange in close()
    return descriptor_.load(acquire);
  }
  [[nodiscard]] io_source* source() const noexcept final { return source_; }
  void drop_at_close() noexcept override { drops_ = true; }
  void retire(bool reset) noexcept override;
  void close() noexcept override;

 protected:
  using transport::transport;

  /// Called by close() before it closes that descriptor.
  virtual void before_close(int) noexcept {}

  io_source* source_ = nullptr;
  source_name name_;
  std::uint32_t drained_at_ = 0;
  bool is_drained_ = false;
  bool resets_ = false;
  bool drops_ = false;

 private:
  atomic<int> descriptor_{-1};
};

}  // namespace heddle::detail
