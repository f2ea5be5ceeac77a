// SPDX-License-Identifier: MIT
// Internal to io. What sockets and pipes share when their bytes move by readiness: the loops around
// one system call that does not wait.
#pragma once

#include <heddle/io/transport/descriptor.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <sys/types.h>
#include <sys/uio.h>

namespace heddle::detail {

/// What a system call of several pieces is given. `parts` has room for most_pieces. Returns how
/// many there are.
inline std::size_t io_vector_of(std::span<const std::string_view> pieces, iovec* parts) noexcept {
  std::size_t n = 0;
  for (const auto piece : pieces)
    if (!piece.empty()) parts[n++] = {const_cast<char*>(piece.data()), piece.size()};
  return n;
}

/// A descriptor that is tried, and watched for what the try did not find: protocol EDGE, at the
/// head of reactor/source.h.
class readiness_transport : public descriptor_transport {
 protected:
  readiness_transport() noexcept : descriptor_transport(false) {}

  /// Receives by `call(to, room)`: one system call that answers as read() does.
  /// Cost      one call for a message. A read that filled less than its room emptied the
  ///           descriptor, so the next receive makes no call before an edge has come.
  template <class Call>
  received receive_by(input_buffer& into, Call call) {
    for (;;) {
      const auto seen = source_->edges();
      if (is_drained_ && seen == drained_at_) return {got::nothing, 0};
      into.make_room();
      const auto room = into.room();
      const ssize_t n = call(into.tail(), room);
      if (n > 0) [[likely]] {
        into.added(static_cast<std::size_t>(n));
        passed().in.count(static_cast<std::size_t>(n));
        // After a short read an edge will tell of more bytes. No edge will tell of the end of the
        // stream if one has told of it already.
        is_drained_ = static_cast<std::size_t>(n) < room && !source_->ended.load(relaxed);
        drained_at_ = seen;
        return {got::data, 0};
      }
      const int code = errno;
      if (into.empty()) into.clear();
      if (n == 0) return {got::end, 0};
      if (code == EINTR) continue;
      if (code == EAGAIN || code == EWOULDBLOCK) {
        is_drained_ = true;
        drained_at_ = seen;
        return {got::nothing, 0};
      }
      return {got::broken, code};
    }
  }

  /// Sends by `call()`: one system call that answers as write() does. Returns as transport::send().
  template <class Call>
  ssize_t send_by(Call call) noexcept {
    for (bool flagged = false;;) {
      const ssize_t n = call();
      if (n >= 0) [[likely]] {
        passed().out.count(static_cast<std::size_t>(n));
        return n;
      }
      const int code = errno;
      if (code == EINTR) continue;
      if (code != EAGAIN && code != EWOULDBLOCK) return -code;
      if (flagged) return -EAGAIN;
      flagged = true;  // protocol EDGE: one more try, with the flag up
      // pairs with io_source::ready(), which looks at the flag after the kernel had room
      source_->wants_write.store(true, seq_cst);
    }
  }
};

}  // namespace heddle::detail
