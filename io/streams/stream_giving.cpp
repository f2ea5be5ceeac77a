// SPDX-License-Identifier: MIT
// The sending half of a stream_core whose transport sends from memory of the stream, as rings do.
//
// Problem  What a ring sends must stay in memory until the kernel has taken it. So each message is
//          copied, and a batch of large ones is more than the caches hold.
// Chosen   From transport::least_in_bulk bytes on the stream first sends by a system call of its
//          own, from where the bytes are. A ring sends what the socket has no room for, and all
//          small messages, many with one system call.
#include <heddle/core/record/work_list.h>
#include <heddle/io/streams/file_place.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/io/transport/filter_place.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace heddle::detail {

// Sender's role. Sends a large piece as far as the socket has room. `direct` or offset_ goes on.
stream_core::turn stream_core::send_in_bulk(std::string_view& direct,
                                            std::size_t& turn_left) noexcept {
  const bool from_caller = !direct.empty();
  const auto n = mover_->send(from_caller ? direct : std::string_view(inflight_).substr(offset_));
  if (n == -EAGAIN) {
    turn_left = 0;
    return turn::go_on;
  }
  if (n < 0) return refused(static_cast<int>(-n), direct);
  const auto sent = static_cast<std::size_t>(n);
  if (from_caller)
    direct.remove_prefix(sent);
  else
    note_sent(sent);
  turn_left -= std::min(turn_left, sent);
  return turn::go_on;
}

// Sender's role. Puts bytes of the caller into flight. False: there is no memory for them.
bool stream_core::keep_direct(std::string_view& direct) noexcept {
  try {
    inflight_.assign(direct);
    offset_ = 0;
  } catch (const std::bad_alloc&) {
    direct = {};
    fail(ENOMEM, "send", found_by::sender);
    return false;
  }
  drain_queue_.lock();
  pend_locked(direct.size());
  // An error that came meanwhile seemed harmless, since these bytes were not counted: see fail().
  if (stage_ >= stage::broken && !cut_short_) note_error_locked(EPIPE, "send");
  drain_queue_.unlock();
  direct = {};
  return true;
}

// Sender's role. Sends what is large, or hands the role to the transport until sent().
stream_core::turn stream_core::give_to_transport(std::string_view& direct,
                                                 std::size_t& turn_left) noexcept {
  const std::size_t left = direct.empty() ? inflight_.size() - offset_ : direct.size();
  if (turn_left != 0 && left >= transport::least_in_bulk) return send_in_bulk(direct, turn_left);
  if (!direct.empty() && !keep_direct(direct)) return turn::go_on;
  drain_queue_.lock();
  const bool gives = stage_ < stage::broken;
  if (gives) sender_ = sending::kernel;
  drain_queue_.unlock();
  if (gives && mover_->give(std::string_view(inflight_).substr(offset_))) return turn::over;
  if (gives) {  // the runtime of the ring has ended: reactor_gone() has come, or will come
    drain_queue_.lock();
    sender_ = sending::thread;
    drain_queue_.unlock();
    fail(ECANCELED, "send", found_by::sender);
  }
  offset_ = inflight_.size();
  return turn::go_on;
}

void stream_core::sent(int result) noexcept {
  work_list todo;
  drain_queue_.lock();
  sender_ = sending::thread;
  if (result > 0) {
    mover_->passed().out.count(static_cast<std::size_t>(result));
    pending_ -= std::min(pending_, static_cast<std::size_t>(result));
    wake_drained_locked(todo);
  }
  const bool over = stage_ >= stage::broken;
  drain_queue_.unlock();
  todo.settle();
  if (result >= 0) {
    offset_ += static_cast<std::size_t>(result);
  } else if (result != -EINTR && result != -EAGAIN) {
    offset_ = inflight_.size();
    fail(-result, "send", found_by::sender);
  }
  if (over) offset_ = inflight_.size();
  send_all({}, 0);  // a reaper has no time for calls of its own
}

}  // namespace heddle::detail
