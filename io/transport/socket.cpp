// SPDX-License-Identifier: MIT
#include <heddle/io/transport/socket.h>

#include <sys/socket.h>

#include <cerrno>

namespace heddle::detail {

received socket_transport::receive(input_buffer& into) {
  for (;;) {
    const auto seen = source_->edges();
    if (is_drained_ && seen == drained_at_) return {got::nothing, 0};
    into.make_room();
    const auto room = into.room();
    const auto n = ::recv(descriptor(), into.tail(), room, MSG_DONTWAIT);
    if (n > 0) [[likely]] {
      into.added(static_cast<std::size_t>(n));
      // A short read has emptied the socket, and an edge will tell of more; but the end of the
      // stream may have been told already.
      is_drained_ = static_cast<std::size_t>(n) < room && !source_->ended.load(relaxed);
      drained_at_ = seen;
      return {got::data, 0};
    }
    const int code = errno;
    if (into.empty()) into.clear();
    if (n == 0) return {got::end, 0};
    if (code == EINTR) continue;
    if (code == EAGAIN || code == EWOULDBLOCK) return nothing_since(seen);
    return {got::broken, code};
  }
}

ssize_t socket_transport::send(std::string_view piece) noexcept {
  for (bool flagged = false;;) {
    const auto n = ::send(descriptor(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) [[likely]]
      return n;
    const int code = errno;
    if (code == EINTR) continue;
    if (code != EAGAIN && code != EWOULDBLOCK) return -code;
    if (flagged) return -EAGAIN;
    flagged = true;                             // protocol EDGE: once more with the flag up
    source_->wants_write.store(true, seq_cst);  // pairs with io_source::ready()
  }
}

bool socket_transport::end_output() noexcept {
  ::shutdown(descriptor(), SHUT_WR);
  return true;
}

bool socket_transport::is_quiet() noexcept { return socket_is_quiet(descriptor()); }

address socket_transport::local() noexcept { return address::local_of(descriptor()); }

bool socket_is_quiet(int socket) noexcept {
  char byte;
  return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace heddle::detail
