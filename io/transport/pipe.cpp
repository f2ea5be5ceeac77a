// SPDX-License-Identifier: MIT
#include <heddle/io/transport/pipe.h>

#include <heddle/core/scheduler.h>

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace heddle::detail {
namespace {

// A write to a pipe without a reader raises SIGPIPE, which ends the process by default, and a pipe
// knows no MSG_NOSIGNAL. A loop's thread blocks SIGPIPE. On any other thread it is blocked here for
// the time of the write, and a SIGPIPE that the write raised is taken back.
template <class Write>
ssize_t without_signal(Write write) noexcept {
  if (current_runtime_id() != 0) return write();
  sigset_t broken, before, pending;
  ::sigemptyset(&broken);
  ::sigaddset(&broken, SIGPIPE);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &broken, &before);
  const ssize_t n = write();
  const int code = errno;
  if (n < 0 && code == EPIPE && !::sigismember(&pending, SIGPIPE)) {
    const timespec now{};
    (void)::sigtimedwait(&broken, nullptr, &now);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = code;
  return n;
}

// A named pipe that no writer has opened yet reads as if it had ended. Only poll knows: it tells a
// hang-up once a writer has come and gone.
bool awaits_first_writer(int from) noexcept {
  struct stat kind;
  if (::fstat(from, &kind) != 0 || !S_ISFIFO(kind.st_mode)) return false;
  pollfd now{from, POLLIN, 0};
  return ::poll(&now, 1, 0) == 0;
}

}  // namespace

received pipe_transport::receive(input_buffer& into) {
  return receive_by(into, [this](char* to, std::size_t room) -> ssize_t {
    const auto n = ::read(descriptor(), to, room);
    if (n != 0 || !awaits_first_writer(descriptor())) return n;
    errno = EAGAIN;
    return -1;
  });
}

ssize_t pipe_transport::send(std::string_view piece) noexcept {
  return send_by([this, piece] {
    return without_signal([=, this] { return ::write(descriptor(), piece.data(), piece.size()); });
  });
}

ssize_t pipe_transport::send_pieces(std::span<const std::string_view> pieces) noexcept {
  iovec parts[most_pieces];
  const auto n = static_cast<int>(io_vector_of(pieces, parts));
  return send_by([this, &parts, n] {
    return without_signal([this, &parts, n] { return ::writev(descriptor(), parts, n); });
  });
}

bool pipe_transport::is_quiet() noexcept {
  pollfd now{descriptor(), POLLIN, 0};
  return ::poll(&now, 1, 0) == 0;
}

}  // namespace heddle::detail
