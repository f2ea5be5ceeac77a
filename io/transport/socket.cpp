// SPDX-License-Identifier: MIT
#include <heddle/io/transport/socket.h>

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
