// SPDX-License-Identifier: MIT
#include <heddle/io/transport/terminal.h>

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

namespace heddle::detail {
namespace {

bool is_hung_up(int terminal) noexcept {
  pollfd now{terminal, POLLOUT, 0};
  return ::poll(&now, 1, 0) > 0 && (now.revents & POLLHUP) != 0;
}

}  // namespace

received terminal_transport::receive(input_buffer& into) {
  const received r = receive_by(into, [this](char* to, std::size_t room) -> ssize_t {
    const auto n = ::read(descriptor(), to, room);
    return n < 0 && errno == EIO ? 0 : n;
  });
  // A terminal may give less than it has, and tell no edge of the rest. So it is asked again.
  if (r.what == got::data) is_drained_ = false;
  return r;
}

ssize_t terminal_transport::send(std::string_view piece) noexcept {
  return send_by([this, piece] {
    const auto n = ::write(descriptor(), piece.data(), piece.size());
    // A full terminal whose programs have gone stays full for ever.
    if (n < 0 && (errno == EIO || (errno == EAGAIN && is_hung_up(descriptor())))) errno = EPIPE;
    return n;
  });
}

bool terminal_transport::end_output() noexcept {
  unsigned number = 0;
  if (::ioctl(descriptor(), TIOCGPTN, &number) != 0) return false;
  termios modes;
  const char typed = ::tcgetattr(descriptor(), &modes) == 0 ? static_cast<char>(modes.c_cc[VEOF])
                                                            : static_cast<char>('D' - '@');
  const auto n = ::write(descriptor(), &typed, 1);
  (void)n;
  return true;
}

bool terminal_transport::is_quiet() noexcept {
  pollfd now{descriptor(), POLLIN, 0};
  return ::poll(&now, 1, 0) == 0;
}

}  // namespace heddle::detail
