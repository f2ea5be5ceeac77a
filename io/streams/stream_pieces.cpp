// SPDX-License-Identifier: MIT
// The part of a stream_core that sends several pieces as one write: where the transport has room,
// by one call, and without joining them.
#include <heddle/io/streams/stream_core.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace heddle::detail {
namespace {

std::size_t size_of(std::span<const std::string_view> pieces) noexcept {
  std::size_t all = 0;
  for (const auto piece : pieces) all += piece.size();
  return all;
}

}  // namespace

void stream_core::write_pieces(std::span<const std::string_view> pieces) {
  const std::size_t total = size_of(pieces);
  if (total == 0) return;
  drain_queue_.lock();
  const bool at_once = stage_ == stage::open && sender_ == sending::nobody && pending_ == 0 &&
                       !filter_ && (!mover_->keeps_memory() || total >= transport::least_in_bulk);
  if (at_once)
    sender_ = sending::thread;
  else if (!queue_locked(pieces, total))
    return;
  drain_queue_.unlock();
  if (at_once)
    send_pieces_at_once(pieces, total);
  else
    send_all({});
}

// Sender's role, taken when nothing was pending. What the transport does not take is copied, since
// the pieces are the caller's.
void stream_core::send_pieces_at_once(std::span<const std::string_view> pieces,
                                      std::size_t total) noexcept {
  std::size_t rest = total;
  while (rest != 0) {
    const auto some = pieces.first(std::min(pieces.size(), most_pieces));
    const std::size_t size = size_of(some);
    const ssize_t n = size == 0 ? 0 : mover_->send_pieces(some);
    if (n < 0 && n != -EAGAIN) {
      fail(static_cast<int>(-n), "send", found_by::sender);
      return send_all({});
    }
    if (n > 0) rest -= static_cast<std::size_t>(n);
    if (n != static_cast<ssize_t>(size) || total - rest >= most_a_turn) break;
    pieces = pieces.subspan(some.size());
  }
  if (rest == 0) return all_sent_at_once();
  keep_rest(pieces, rest);
  send_all({});
}

// Sender's role. Puts the last `rest` bytes of `pieces` into flight.
void stream_core::keep_rest(std::span<const std::string_view> pieces, std::size_t rest) noexcept {
  offset_ = 0;
  inflight_.clear();
  try {
    inflight_.reserve(rest);
  } catch (const std::bad_alloc&) { return fail(ENOMEM, "send", found_by::sender); }
  std::size_t skipped = size_of(pieces) - rest;
  for (const auto piece : pieces) {
    const std::size_t gone = std::min(skipped, piece.size());
    skipped -= gone;
    inflight_.append(piece.substr(gone));
  }
  drain_queue_.lock();
  pend_locked(rest);
  const bool ends = stage_ >= stage::broken;
  // An error that came meanwhile seemed harmless, since these bytes were not counted: see fail().
  if (ends && !cut_short_) note_error_locked(EPIPE, "send");
  drain_queue_.unlock();
  if (ends) offset_ = inflight_.size();
}

}  // namespace heddle::detail
