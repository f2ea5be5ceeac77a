// SPDX-License-Identifier: MIT
#include <heddle/io/transport/socket.h>

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <cerrno>

namespace heddle::detail {

received socket_transport::receive(input_buffer& into) {
  return receive_by(into, [this](char* to, std::size_t room) {
    return ::recv(descriptor(), to, room, MSG_DONTWAIT);
  });
}

ssize_t socket_transport::send(std::string_view piece) noexcept {
  return send_by([this, piece] {
    return ::send(descriptor(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  });
}

ssize_t socket_transport::send_pieces(std::span<const std::string_view> pieces) noexcept {
  iovec parts[most_pieces];
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = io_vector_of(pieces, parts);
  return send_by(
      [this, &message] { return ::sendmsg(descriptor(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
}

ssize_t socket_transport::send_file(int file, std::uint64_t at, std::size_t most) noexcept {
  return send_by([=, this] { return send_file_to(descriptor(), file, at, most); });
}

// A short splice does not say that the socket is empty: a pipe has places for so many pieces. So
// the socket counts as drained only when it had nothing.
std::size_t socket_transport::splice_in(int to, std::size_t most) noexcept {
  for (;;) {
    const auto seen = source_->edges();
    if (is_drained_ && seen == drained_at_) return 0;
    const ssize_t n =
        ::splice(descriptor(), nullptr, to, nullptr, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
      passed().in.count(static_cast<std::size_t>(n));
      return static_cast<std::size_t>(n);
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      is_drained_ = true;
      drained_at_ = seen;
    }
    return 0;
  }
}

// As for sendfile: a peer that has gone raises SIGPIPE, which the threads of loops block.
ssize_t socket_transport::splice_out(int from, std::size_t n) noexcept {
  return send_by([=, this] {
    return ::splice(from, nullptr, descriptor(), nullptr, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  });
}

bool socket_transport::end_output() noexcept {
  ::shutdown(descriptor(), SHUT_WR);
  return true;
}

bool socket_transport::is_quiet() noexcept { return socket_is_quiet(descriptor()); }

address socket_transport::local() noexcept { return address::local_of(descriptor()); }

// A peer that has gone raises SIGPIPE, since sendfile knows no MSG_NOSIGNAL. Files are sent by
// tasks, and the threads of loops block that signal.
ssize_t send_file_to(int socket, int file, std::uint64_t at, std::size_t most) noexcept {
  auto offset = static_cast<off_t>(at);
  return ::sendfile(socket, file, &offset, most);
}

bool socket_is_quiet(int socket) noexcept {
  char byte;
  return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace heddle::detail
