// SPDX-License-Identifier: MIT
// The part of a stream_core that moves bytes from one socket to another by a pipe, and the pipe.
#include <heddle/core/base/assert.h>
#include <heddle/io/streams/splicing.h>
#include <heddle/io/streams/stream_core.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <string>

namespace heddle::detail {

std::size_t stream_core::receive_into_pipe(int pipe, std::size_t most) {
  begin_read();
  std::size_t n = 0;
  // The load of use_ pairs with the exchange in finish().
  if (!(use_.load(acquire) & closing) && !eof() && !filter_ && input_.empty())
    n = mover_->splice_in(pipe, most);
  end_read();
  return n;
}

bool stream_core::gives_to_pipe() noexcept {
  const output_lock hold(drain_queue_);
  return !filter_ && mover_->splices();
}

bool stream_core::may_splice_locked() const noexcept {
  return stage_ == stage::open && sender_ == sending::nobody && pending_ == 0 && !filter_ &&
         mover_->splices();
}

bool stream_core::takes_of_pipe() noexcept {
  const output_lock hold(drain_queue_);
  return may_splice_locked();
}

std::size_t stream_core::send_of_pipe(int pipe, std::size_t n) noexcept {
  {
    const output_lock hold(drain_queue_);
    if (!may_splice_locked()) return 0;
    sender_ = sending::thread;
  }
  std::size_t sent = 0;
  while (sent < n) {
    const ssize_t went = mover_->splice_out(pipe, n - sent);
    if (went <= 0) {
      // What cannot be spliced can be written: the caller tries, and finds a lasting error.
      if (went == -EPIPE || went == -ECONNRESET)
        fail(static_cast<int>(-went), "splice", found_by::sender);
      break;
    }
    sent += static_cast<std::size_t>(went);
  }
  all_sent_at_once();
  return sent;
}

splicer::~splicer() { forget(); }

void splicer::forget() noexcept {
  for (int& end : ends_) {
    if (end >= 0) ::close(end);
    end = -1;
  }
}

bool splicer::is_open() noexcept {
  if (ends_[0] >= 0) return true;
  if (given_up_) return false;
  try {
    rest_.reserve(piece);
  } catch (const std::bad_alloc&) { return false; }
  // Without descriptors the bytes go by memory, as they do where there is no splice.
  given_up_ = ::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0;
  if (given_up_) ends_[0] = ends_[1] = -1;
  return !given_up_;
}

std::size_t splicer::move_some(stream_core& from, stream_core& to, std::uint64_t& count) {
  if (!from.gives_to_pipe() || !to.takes_of_pipe() || !is_open()) return 0;
  const std::size_t n = from.receive_into_pipe(ends_[1], piece);
  if (n == 0) return 0;
  const std::size_t sent = to.send_of_pipe(ends_[0], n);
  count += sent;
  if (sent == n) return n;
  rest_.resize(n - sent);  // the room was reserved
  take_out();
  try {
    to.write(rest_);
  } catch (...) {
    give_back(from);
    throw;
  }
  count += n - sent;
  return n;
}

// What stands in a pipe comes at once.
void splicer::take_out() noexcept {
  std::size_t got = 0;
  while (got < rest_.size()) {
    const auto n = ::read(ends_[0], rest_.data() + got, rest_.size() - got);
    if (n < 0 && errno == EINTR) continue;
    HEDDLE_ASSERT(n > 0, "bytes in a pipe of our own were lost");
    got += static_cast<std::size_t>(n);
  }
}

// The target took nothing, so the source keeps the bytes.
void splicer::give_back(stream_core& from) noexcept {
  if (!from.try_begin_read()) return;  // a bug of the caller: another task reads by now
  try {
    from.input().prepend(rest_);
  } catch (const std::bad_alloc&) { from.lose_input(); }
  from.end_read();
}

}  // namespace heddle::detail
