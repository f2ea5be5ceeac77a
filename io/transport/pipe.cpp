// SPDX-License-Identifier: MIT
#include <heddle/io/transport/pipe.h>

#include <heddle/core/scheduler.h>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace heddle::detail {
namespace {

// A pipe has no MSG_NOSIGNAL. A loop's thread blocks all signals; other threads do it here.
ssize_t write_without_signal(int to, std::string_view piece) noexcept {
  if (current_runtime_id() != 0) return ::write(to, piece.data(), piece.size());
  sigset_t broken, before, pending;
  ::sigemptyset(&broken);
  ::sigaddset(&broken, SIGPIPE);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &broken, &before);
  const auto n = ::write(to, piece.data(), piece.size());
  const int code = errno;
  if (n < 0 && code == EPIPE && !::sigismember(&pending, SIGPIPE)) {
    const timespec now{};
    (void)::sigtimedwait(&broken, nullptr, &now);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = code;
  return n;
}

}  // namespace

received pipe_transport::receive(input_buffer& into) {
  for (;;) {
    const auto seen = source_->edges();
    if (is_drained_ && seen == drained_at_) return {got::nothing, 0};
    into.make_room();
    const auto room = into.room();
    const auto n = ::read(descriptor(), into.tail(), room);
    if (n > 0) [[likely]] {
      into.added(static_cast<std::size_t>(n));
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

ssize_t pipe_transport::send(std::string_view piece) noexcept {
  for (bool flagged = false;;) {
    const auto n = write_without_signal(descriptor(), piece);
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

bool pipe_transport::is_quiet() noexcept {
  pollfd now{descriptor(), POLLIN, 0};
  return ::poll(&now, 1, 0) == 0;
}

}  // namespace heddle::detail
