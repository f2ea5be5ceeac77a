// SPDX-License-Identifier: MIT
// The sending half of a stream_core: the sender's role, the output queue, and the marks of drain().
#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>
#include <heddle/core/scheduler.h>
#include <heddle/io/streams/file_place.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/io/transport/filter_place.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace heddle::detail {
namespace {

constexpr std::size_t kept_capacity = 256;
constexpr std::size_t most_sealed = 64 * 1024;  // by one call of a filter

/// The next `more` bytes can be appended without an exception. Room grows as a string's does, so
/// that many small appends cost no more than their bytes.
void make_room(std::string& s, std::size_t more) {
  const auto wanted = s.size() + more;
  if (wanted > s.capacity()) s.reserve(std::max(wanted, 2 * s.capacity()));
}

/// An idle stream keeps at most kept_capacity bytes of a queue.
void shrink(std::string& s) noexcept {
  if (s.capacity() > kept_capacity) std::string().swap(s);
}

}  // namespace

void stream_core::pend_locked(std::size_t more) noexcept {
  pending_ += more;
  if (pending_ > high_) paused_ = true;
}

void stream_core::write(std::string_view bytes) {
  if (bytes.empty()) return;
  drain_queue_.lock();
  const bool gives = mover_->keeps_memory();
  const bool at_once = stage_ == stage::open && sender_ == sending::nobody && pending_ == 0 &&
                       !filter_ && (!gives || bytes.size() >= transport::least_in_bulk);
  if (at_once) [[likely]]
    sender_ = sending::thread;
  else if (!queue_locked({&bytes, 1}, bytes.size()))
    return;
  drain_queue_.unlock();
  if (!at_once)
    send_all({});
  else if (gives)
    send_all(bytes);
  else
    send_at_once(bytes);
}

// Called with the output lock held; the usual case has been ruled out. True: the caller has the
// sender's role, and the lock. False: the bytes were queued or dropped, and the lock is released.
// It is released also when this throws; then no byte was queued.
bool stream_core::queue_locked(std::span<const std::string_view> pieces, std::size_t total) {
  struct unlocker {
    wait_queue* q;
    ~unlocker() {
      if (q) q->unlock();
    }
  } at_end{&drain_queue_};
  if (stage_ >= stage::leaving) return false;
  if (stage_ != stage::open) throw_usage("write after write_eof");
  const bool queues = sender_ != sending::nobody || pending_ != 0;
  auto& to = file_ && sends_file_locked() ? file_->behind : queues || filter_ ? out_ : inflight_;
  if (pieces.size() > 1) make_room(to, total);
  for (const auto bytes : pieces) to.append(bytes);
  pend_locked(total);
  if (queues) return false;
  sender_ = sending::thread;
  at_end.q = nullptr;
  return true;
}

// Sender's role, taken when nothing was pending. Gives the role back, unless something has come
// meanwhile.
void stream_core::all_sent_at_once() noexcept {
  drain_queue_.lock();
  const bool rests = pending_ == 0 && stage_ == stage::open;
  if (rests) sender_ = sending::nobody;
  drain_queue_.unlock();
  if (!rests) send_all({});
}

// The usual message: sent by one call of the transport. Sender's role, taken when nothing was
// pending.
void stream_core::send_at_once(std::string_view bytes) noexcept {
  const auto n = mover_->send(bytes);
  if (n == static_cast<ssize_t>(bytes.size())) [[likely]]
    return all_sent_at_once();
  if (n < 0) {
    const auto code = static_cast<int>(-n);
    if (refused(code, bytes) == turn::over) return;
  } else {
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  send_all(bytes);
}

// Sender's role. Sends `direct`, then inflight_, then what other threads queued meanwhile. Gives
// the role back when nothing is left, or when the transport takes no more. After `turn_left` bytes
// a loop also gives it back, and goes on by a callback, so that its other tasks have a turn; where
// the transport sends from memory of the stream, the rest is given to the transport.
void stream_core::send_all(std::string_view direct, std::size_t turn_left) noexcept {
  turn how = turn::go_on;
  while (how == turn::go_on) {
    if (direct.empty() && offset_ == inflight_.size())
      how = next_output();
    else if (mover_->keeps_memory())
      how = give_to_transport(direct, turn_left);
    else
      how = send_piece(direct, turn_left);
  }
}

// Sender's role. The transport took nothing; `code` is its errno.
stream_core::turn stream_core::refused(int code, std::string_view& direct) noexcept {
  if (code == EAGAIN) return let_go(direct, false);
  direct = {};
  offset_ = inflight_.size();
  fail(code, "send", found_by::sender);
  return turn::go_on;
}

// Sender's role, and nothing is in flight. Puts the next bytes into flight; or ends our direction,
// or the connection; or gives the role back.
stream_core::turn stream_core::next_output() noexcept {
  for (;;) {
    work_list todo;
    offset_ = 0;
    inflight_.clear();
    drain_queue_.lock();
    if (stage_ >= stage::broken) drop_output_locked();
    if (take_pending_locked()) {
      drain_queue_.unlock();
      return turn::go_on;
    }
    if (filter_ && must_seal_locked()) {
      drain_queue_.unlock();
      if (seal_some() == turn::over) return turn::over;
      continue;
    }
    if (file_ && leave_to_file_locked(todo)) {
      drain_queue_.unlock();
      todo.settle();
      return turn::over;
    }
    const bool ends_direction = stage_ == stage::ending || stage_ == stage::leaving;
    const bool ends_all = stage_ == stage::draining || stage_ == stage::aborted;
    if (ends_direction) {
      stage_ = stage_ == stage::ending ? stage::half_closed : stage::lingering;
    } else if (ends_all) {
      sender_ = sending::closer;
    } else {
      sender_ = sending::nobody;
      shrink(inflight_);
      shrink(out_);
      if (filter_) shrink_filter_locked();
    }
    wake_drained_locked(todo);
    drain_queue_.unlock();
    todo.settle();
    if (ends_all) finish();
    if (!ends_direction) return turn::over;
    if (!mover_->end_output()) close();
  }
}

void stream_core::shrink_filter_locked() noexcept {
  shrink(filter_->sealed);
  if (filter_->busy || !filter_->unsealed().empty()) return;
  filter_->plain.clear();
  filter_->plain_at = 0;
  shrink(filter_->plain);
}

// Puts bytes into flight that are ready to be sent: with a filter only sealed ones are. False:
// there are none.
bool stream_core::take_pending_locked() noexcept {
  auto& from = filter_ ? filter_->sealed : out_;
  if (from.empty()) return false;
  inflight_.swap(from);
  return true;
}

// Sender's role. Sends some of `direct`, or of what is in flight, by the transport's send().
stream_core::turn stream_core::send_piece(std::string_view& direct,
                                          std::size_t& turn_left) noexcept {
  const bool from_caller = !direct.empty();
  const auto n = mover_->send(from_caller ? direct : std::string_view(inflight_).substr(offset_));
  if (n < 0) [[unlikely]]
    return refused(static_cast<int>(-n), direct);
  const auto sent = static_cast<std::size_t>(n);
  if (from_caller)
    direct.remove_prefix(sent);
  else
    note_sent(sent);
  // A peer that reads as fast as we send would hold this loop for ever. So a turn has an end.
  const bool all = direct.empty() && offset_ == inflight_.size();
  turn_left -= std::min(turn_left, sent);
  if (all || turn_left != 0 || current_runtime_id() == 0) return turn::go_on;
  return let_go(direct, true);
}

// Sender's role. The transport has taken `n` bytes of inflight_.
void stream_core::note_sent(std::size_t n) noexcept {
  work_list todo;
  offset_ += n;
  drain_queue_.lock();
  pending_ -= std::min(pending_, n);
  wake_drained_locked(todo);
  const bool ends = stage_ >= stage::broken;
  drain_queue_.unlock();
  todo.settle();
  if (ends) offset_ = inflight_.size();
}

// Gives the sender's role back with output pending. The transport will tell of room; or, if
// `continues`, a callback goes on. turn::go_on: the caller keeps the role and must go on, since
// room was told meanwhile, or since the connection broke and the output is to be dropped.
stream_core::turn stream_core::let_go(std::string_view& direct, bool continues) noexcept {
  const bool uncounted = !direct.empty();
  if (uncounted) {
    try {
      inflight_.assign(direct);
      offset_ = 0;
    } catch (const std::bad_alloc&) {
      direct = {};
      fail(ENOMEM, "send", found_by::sender);
      return turn::go_on;
    }
  }
  drain_queue_.lock();
  pend_locked(direct.size());
  direct = {};
  const bool ends = stage_ >= stage::broken;
  // An error that came meanwhile seemed harmless, since these bytes were not counted: see fail().
  if (ends && uncounted && !cut_short_) note_error_locked(EPIPE, "send");
  const bool again = sender_ == sending::thread_told && !continues;
  if (ends || again) {
    sender_ = sending::thread;
    if (ends) offset_ = inflight_.size();
    drain_queue_.unlock();
    return turn::go_on;
  }
  sender_ = sending::nobody;
  if (continues) ref();  // for the continuation: another thread may close before it runs
  drain_queue_.unlock();
  if (continues) continue_later();
  return turn::over;
}

// Goes on with sending by a callback of this loop. Takes over a reference.
//
// If that callback never ran, the output would stay where it is: no event announces room that was
// never refused, and the peer would wait for ever. A reactor that ends aborts its streams, but a
// memory pair has no reactor. So a continuation that finds no memory, or that is destroyed unrun,
// goes on in the thread that destroys it, and in one turn.
void stream_core::continue_later() noexcept {
  struct continuation final : callback_base {
    explicit continuation(stream_core& c) noexcept : core(&c) {}
    ~continuation() override {
      if (!ran) core->go_on(false);
      core->unref();
    }
    void run() override {
      ran = true;
      core->go_on(true);
    }
    stream_core* const core;
    bool ran = false;
  };
  owned<callback_base> rest;
  try {
    rest.reset(new continuation(*this));
    prepare_callback(*rest);
  } catch (const std::bad_alloc&) {
    if (rest) return;  // it has the reference, and goes on
    go_on(false);
    unref();
    return;
  }
  post_callback(current_runtime_id(), this_thread().loop, std::move(rest));
}

void stream_core::writable() noexcept { go_on(true); }

void stream_core::go_on(bool in_turns) noexcept {
  drain_queue_.lock();
  if (sender_ == sending::thread) sender_ = sending::thread_told;
  const bool now = sender_ == sending::nobody && pending_ != 0;
  if (now) sender_ = sending::thread;
  drain_queue_.unlock();
  if (now) send_all({}, in_turns ? most_a_turn : ~std::size_t{0});
}

// --- through a filter ---

bool stream_core::must_seal_locked() const noexcept {
  const auto& f = *filter_;
  if (stage_ >= stage::broken) return false;
  if (!out_.empty() || !f.unsealed().empty()) return true;
  if (file_ && sends_file_locked()) return false;  // the end comes behind it
  return !f.end_sealed && (f.end_wanted || stage_ == stage::ending || stage_ == stage::leaving ||
                           stage_ == stage::draining);
}

// Sender's role. True: the caller has `busy`, and seals. False: there is nothing to seal any more;
// or the filter is busy, and then the sender's role was given back (sender_waits).
bool stream_core::offer_to_filter_locked(filter_place& f, bool& ends) noexcept {
  if (!must_seal_locked()) return false;
  if (f.busy) {
    f.sender_waits = true;  // release_filter() goes on in our place
    sender_ = sending::nobody;
    return false;
  }
  if (f.unsealed().empty()) {
    f.plain.clear();
    f.plain_at = 0;
    f.plain.swap(out_);
  }
  ends = f.plain.empty();
  f.busy = true;
  return true;
}

// Sender's role. turn::over: the role was given back, since the filter is busy or cannot seal yet.
stream_core::turn stream_core::seal_some() noexcept {
  bool ends = false;
  drain_queue_.lock();
  auto& f = *filter_;
  const bool mine = offer_to_filter_locked(f, ends);
  const bool waits = sender_ == sending::nobody;  // only offer_to_filter_locked() does that
  drain_queue_.unlock();
  if (!mine) return waits ? turn::over : turn::go_on;

  std::string sealed;
  std::size_t taken = 0;
  try {
    if (ends)
      f.the->end(sealed);
    else
      taken = f.the->seal(f.unsealed().substr(0, most_sealed), sealed);
  } catch (...) {
    filter_failed(f, sealed, "seal");
    return turn::go_on;
  }
  const bool rests = !ends && taken == 0 && sealed.empty();
  drain_queue_.lock();
  f.plain_at += taken;
  pending_ -= std::min(pending_, taken);
  if (ends) {
    f.end_sealed = true;
    f.end_size = sealed.size();
  }
  drain_queue_.unlock();
  release_filter(f, sealed, rests);
  if (!rests) return turn::go_on;
  // A thread that ended the stream meanwhile saw a sender, and left the end to that sender: us.
  drain_queue_.lock();
  const bool again = sender_ == sending::nobody && stage_ >= stage::broken;
  if (again) sender_ = sending::thread;
  drain_queue_.unlock();
  return again ? turn::go_on : turn::over;
}

// --- marks ---

std::size_t stream_core::buffered() noexcept {
  drain_queue_.lock();
  const auto n = pending_;
  drain_queue_.unlock();
  return n;
}

bool stream_core::has_unsent_data() noexcept {
  drain_queue_.lock();
  const std::size_t end = filter_ && filter_->end_sealed ? filter_->end_size : 0;
  const bool has = pending_ > end;
  drain_queue_.unlock();
  return has;
}

void stream_core::set_limits(std::size_t high, std::size_t low) {
  if (low > high) throw bad_value("the low mark of a writer is above the high one");
  work_list todo;
  drain_queue_.lock();
  high_ = high;
  low_ = low;
  paused_ = pending_ > high_ || (paused_ && pending_ > low_);
  wake_drained_locked(todo);
  drain_queue_.unlock();
  todo.settle();
}

// The caller is the sender, or there is none.
void stream_core::drop_output_locked() noexcept {
  out_.clear();
  inflight_.clear();
  offset_ = 0;
  pending_ = 0;
  if (filter_) filter_->sealed.clear();  // `plain` belongs to the holder of `busy`
  if (file_) file_->behind.clear();
}

void stream_core::wake_drained_locked(work_list& todo) noexcept {
  if (paused_ && pending_ <= low_) paused_ = false;
  if (paused_ && stage_ < stage::broken && error_.load(relaxed) == 0) return;
  while (waiter* w = drain_queue_.claim_first()) todo.schedule(*w->task);
}

bool stream_core::drained(bool waited) {
  throw_if_broken();
  drain_queue_.lock();
  const bool closed = waited ? cut_short_ : stage_ >= stage::leaving;
  const bool paused = paused_;
  drain_queue_.unlock();
  if (closed) throw_system_error(ECONNRESET, "drain of a closed connection", peer().to_string());
  return !paused;
}

HEDDLE_NOINLINE bool stream_core::wait_drained(waiter& w, task_record& t) noexcept {
  drain_queue_.lock();
  const bool waits =
      paused_ && stage_ < stage::broken && error_.load(relaxed) == 0 && drain_queue_.suspend(w, t);
  drain_queue_.unlock();
  return waits;
}

}  // namespace heddle::detail
