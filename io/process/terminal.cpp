// SPDX-License-Identifier: MIT
#include <heddle/io/process/terminal.h>

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cstdlib>
#include <utility>

namespace heddle::detail {

fd open_their_side(int ours) {
  // By the open side, and not by a path: /dev/pts may be mounted elsewhere, or not at all.
  return fd(check(::ioctl(ours, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), "ioctl TIOCGPTPEER",
                  "a pseudo-terminal"));
}

fd open_terminal(terminal_size size) {
  fd ours(check(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), "posix_openpt"));
  check(::grantpt(ours.get()), "grantpt");
  check(::unlockpt(ours.get()), "unlockpt");
  set_terminal_size(ours.get(), size);
  return ours;
}

void set_terminal_size(int ours, terminal_size size) {
  winsize w{};
  w.ws_row = size.rows;
  w.ws_col = size.columns;
  check(::ioctl(ours, TIOCSWINSZ, &w), "ioctl TIOCSWINSZ", "a pseudo-terminal");
}

terminal_size size_of_terminal(int ours) {
  winsize w{};
  check(::ioctl(ours, TIOCGWINSZ, &w), "ioctl TIOCGWINSZ", "a pseudo-terminal");
  return {w.ws_row, w.ws_col};
}

}  // namespace heddle::detail
