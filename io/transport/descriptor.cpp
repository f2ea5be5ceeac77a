// SPDX-License-Identifier: MIT
#include <heddle/io/transport/descriptor.h>

#include <heddle/io/descriptors/owned_numbers.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace heddle::detail {

void descriptor_transport::watch(fd end, reactor& home, source_owner& owner, watched_for purpose) {
  // An event may come before home.watch() returns, and its handler asks for the descriptor.
  // pairs with the load in descriptor()
  descriptor_.store(end.get(), release);
  try {
    source_ = &home.watch(end.get(), &owner, purpose);
  } catch (...) {
    descriptor_.store(-1, relaxed);
    throw;
  }
  name_ = source_->name();
  readers_ = &source_->readable;
  own_number(end.get());
  (void)end.release();
}

HEDDLE_NOINLINE bool descriptor_transport::wait(waiter& w, task_record& t) noexcept {
  auto& q = source_->readable;
  q.lock();
  const bool waits = source_->generation() == name_.generation && source_->edges() == drained_at_ &&
                     q.suspend(w, t);
  q.unlock();
  return waits;
}

void descriptor_transport::look_away() noexcept {
  const auto now = source_->edges();
  if (now == drained_at_) return;
  is_drained_ = false;  // an edge told of bytes that were not received
  drained_at_ = now;
}

int descriptor_transport::standing_error() noexcept {
  int code = 0;
  socklen_t length = sizeof code;
  (void)::getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &code, &length);
  return code;
}

bool descriptor_transport::is_over() noexcept {
  pollfd one{descriptor(), 0, 0};
  return ::poll(&one, 1, 0) == 1 && (one.revents & POLLHUP) != 0;
}

void descriptor_transport::nudge() noexcept {
  task_record* woken = nullptr;
  source_->readable.lock();
  if (source_->generation() == name_.generation) woken = source_->count_edge();
  source_->readable.unlock();
  if (woken) schedule(*woken);
}

void descriptor_transport::retire(bool reset) noexcept {
  resets_ = reset;
  if (reset) {
    const linger at_once{1, 0};
    ::setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  source_->retire();
}

namespace {

// A peer that goes on sending is not waited for: it is reset.
HEDDLE_NOINLINE void drop_unread(int socket) noexcept {
  char dropped[16 * 1024];
  for (int left = 64; left > 0; --left)
    if (::recv(socket, dropped, sizeof dropped, MSG_DONTWAIT) <= 0) return;
}

}  // namespace

void descriptor_transport::close() noexcept {
  // pairs with the load in descriptor()
  const int d = descriptor_.exchange(-1, acq_rel);
  if (d < 0) return;
  disown_number(d);
  if (drops_ && !resets_) drop_unread(d);
  before_close(d);
  ::close(d);
}

}  // namespace heddle::detail
