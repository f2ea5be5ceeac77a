// SPDX-License-Identifier: MIT
// Internal to io.
// A call that waits for a descriptor of somebody else.
//
// Problem   Its owner may close it at any moment, and the number is given to another file. A watch
//           by number would then be of the wrong file. A watch that is ended later by number would
//           take the watch from whatever has the number by then. And two tasks may wait for one
//           descriptor on one loop, but a set of epoll takes a descriptor once.
// Rejected  A table of watches by number: it goes stale with each close() that nobody tells.
// Chosen    Each call that must wait makes a duplicate of the descriptor, watches that, and makes
//           its system calls on it. The duplicate's number is ours until we close it.
// Costs     Five system calls a wait. After a close() that nobody told, the open file stays open
//           until the wait ends. So calls stand in a list, and notify_closing() ends them.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/descriptors/turns.h>
#include <heddle/io/reactor/reactor.h>

#include <cstdint>

namespace heddle::detail {

enum class direction : std::uint8_t { in, out };

//
// previous_, next_, told_, retired_   under the lock of the list of calls
// the rest                            constant
class foreign_call {
 public:
  /// Throws std::system_error, no_running_loop.
  explicit foreign_call(int descriptor);
  foreign_call(const foreign_call&) = delete;
  ~foreign_call();

  /// The duplicate: for system calls.
  [[nodiscard]] int descriptor() const noexcept { return copy_.get(); }
  /// Throws ECANCELED if the descriptor was closed meanwhile.
  void check_open(const char* call) const;
  [[nodiscard]] std::uint32_t edges() const noexcept { return source_->edges(); }
  /// Awaited after a try that found nothing. `seen`: the edges before that try.
  [[nodiscard]] readable_wait until_readable(std::uint32_t seen) const noexcept {
    return {*source_, name_, seen, "readable"};
  }
  [[nodiscard]] writable_wait until_writable() const noexcept {
    return {*source_, name_, "writable"};
  }

 private:
  friend void end_foreign_calls(int descriptor) noexcept;

  const int number_;  // the owner's
  fd copy_;
  reactor& home_;
  io_source* source_ = nullptr;
  source_name name_;
  foreign_call* previous_ = nullptr;
  foreign_call* next_ = nullptr;
  bool told_ = false;
};

/// Ends the waits of all calls on that descriptor.
void end_foreign_calls(int descriptor) noexcept;

/// The turns of those that send all of something.
turns& foreign_senders();

/// Throws usage_error if the library owns that descriptor. Throws EBADF if it is not open, and with
/// `non_blocking` usage_error if it is blocking.
void check_foreign(int descriptor, const char* call, bool non_blocking);

/// poll() without waiting. True: ready in that direction, or there is an error. Throws EBADF.
[[nodiscard]] bool is_ready(int descriptor, direction way, const char* call);

}  // namespace heddle::detail
