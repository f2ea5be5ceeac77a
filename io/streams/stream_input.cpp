// SPDX-License-Identifier: MIT
// The receiving half of a stream_core: the reader's role, and what is read through a filter.
#include <heddle/io/streams/stream_core.h>
#include <heddle/io/transport/filter_place.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <string>
#include <utility>

namespace heddle::detail {
namespace {

/// The longest record of TLS, with what stands around its 16 KiB (RFC 8446, 5.2).
constexpr std::size_t most_of_record = 16 * 1024 + 5 + 256;

}  // namespace

void stream_core::begin_read() {
  if (!try_begin_read()) [[unlikely]]
    throw_usage("another task is reading from this stream: one reads at a time");
}

bool stream_core::try_begin_read() noexcept {
  // pairs with the exchange in end_read()
  return !(use_.fetch_or(reading, acq_rel) & reading);
}

void stream_core::end_read() noexcept {
  // pairs with the exchange in finish(): if the closer found a reader inside, the reader closes
  const auto old = use_.fetch_and(static_cast<std::uint8_t>(~reading), acq_rel);
  if (old & closing) [[unlikely]]
    mover_->close();
}

// The rare part of receive(): the connection is gone, or its end was read, or it has a filter.
HEDDLE_NOINLINE got stream_core::receive_otherwise() {
  if (use_.load(relaxed) & unseen) {
    use_.fetch_and(static_cast<std::uint8_t>(~unseen), relaxed);
    return input_.empty() ? receive() : got::data;
  }
  // The load of use_ pairs with the exchange in finish(), that of error_ with the store in
  // note_error_locked().
  if (use_.load(acquire) & closing) {
    const bool broken = error_.load(acquire) != 0;
    input_end_ = broken ? input_end::error : input_end::orderly;
    return got::end;
  }
  return eof() ? got::end : receive_filtered();
}

got stream_core::end_of_input(received r) noexcept {
  if (r.what == got::end) {
    // pairs with the store in note_error_locked()
    const int sent = error_.load(acquire);
    input_end_ = sent != 0 && sent != EPIPE ? input_end::error : input_end::orderly;
    if (one_way_) close();  // nothing follows; this reader closes the pipe when it leaves
    return got::end;
  }
  fail(r.code, "recv", found_by::reader);
  // After our own abort() the socket reports an error too, which is none of the connection. So the
  // connection is asked. The load pairs with the store in note_error_locked().
  const bool broken = error_.load(acquire) != 0;
  input_end_ = broken ? input_end::error : input_end::orderly;
  return got::end;
}

void stream_core::lose_input() noexcept { (void)end_of_input({got::broken, ENOMEM}); }

bool stream_core::quiet() {
  begin_read();
  const bool quiet = is_quiet();
  end_read();
  return quiet;
}

bool stream_core::is_quiet() noexcept {
  // The load of error_ pairs with the store in note_error_locked().
  bool quiet =
      !(use_.load(acquire) & closing) && !eof() && input_.empty() && error_.load(acquire) == 0;
  if (quiet && filter_) quiet = filter_->raw.empty() && !filter_->ended.load(relaxed);
  return quiet && mover_->is_quiet();
}

// --- through a filter ---

// Reader's role. If the sender has the filter, the reader waits for an edge that release_filter()
// makes. look_away() takes the count of edges before take_filter() asks for the filter. So a
// release comes before the asking, and the filter is had; or after it, and its edge refuses the
// wait.
got stream_core::receive_filtered() {
  auto& f = *filter_;
  if (f.drops) return receive_dropped(f);
  if (std::exchange(f.unseen, false) && !input_.empty()) return got::data;
  for (;;) {
    if (f.raw_is_new) {
      if (f.held) return got::data;
      mover_->look_away();
      if (!take_filter(f)) return got::nothing;
      const auto had = input_.size();
      open_some(f);
      if (input_.size() != had) return got::data;
      if (eof()) return got::end;
    }
    if (f.ended.load(relaxed)) {
      if (f.passes_at_end) return receive_passing(f);
      input_end_ = input_end::orderly;
      return got::end;
    }
    received r = mover_->receive(f.raw);
    switch (r.what) {
      case got::data:
        f.raw_is_new = true;
        // The filter gets a whole record at a time, and not each buffer of a ring.
        while (r.more && f.raw.size() < most_of_record) r = mover_->receive(f.raw);
        break;
      case got::nothing: return got::nothing;
      case got::broken: return end_of_input(r);
      case got::end: return end_of_filtered(f);
    }
  }
}

// The transport has ended. If the filter's own end is missing, a third party may have cut the
// stream off.
got stream_core::end_of_filtered(filter_place& f) noexcept {
  if (!f.the->seals()) return end_of_input({got::end, 0});
  auto cut = f.the->cut_off();
  drain_queue_.lock();
  if (error_.load(relaxed) == 0 && !f.error) f.error.swap(cut);
  drain_queue_.unlock();
  return end_of_input({got::broken, ECONNRESET});
}

got stream_core::receive_dropped(filter_place& f) {
  const received r = mover_->receive(f.raw);
  f.raw.clear();
  if (r.what == got::data || r.what == got::nothing) return r.what;
  return end_of_input(r);
}

bool stream_core::step_filter() {
  auto& f = *filter_;
  if (!f.raw_is_new) return true;
  if (!take_filter(f)) return false;
  open_some(f);
  if (input_end_ == input_end::error) throw_error();
  return true;
}

void stream_core::release_filter_hold() noexcept {
  filter_->held = false;
  filter_->unseen = !input_.empty();
  drain_queue_.lock();
  filter_->lingers = false;
  drain_queue_.unlock();
}

void stream_core::drop_input() noexcept {
  filter_->drops = true;
  filter_->raw.clear();
  input_end_ = input_end::none;
}

// Reader's role. The peer's direction of the filter has ended. Once ours has, bytes pass. Until
// then the reader waits for an edge, as in receive_filtered(): the thread that seals our end makes
// one when it gives the filter back.
got stream_core::receive_passing(filter_place& f) noexcept {
  mover_->look_away();
  drain_queue_.lock();
  const bool passes = f.end_sealed && !f.busy;
  const bool never = !f.end_sealed && stage_ >= stage::broken;
  if (passes)
    f.busy = true;
  else
    f.reader_waits = true;
  drain_queue_.unlock();
  if (never) return end_of_input({got::broken, ECONNRESET});
  if (!passes) return got::nothing;
  f.the->pass();
  f.passes_at_end = false;
  f.ended.store(false, relaxed);
  f.raw_is_new = !f.raw.empty();
  std::string nothing;
  release_filter(f, nothing, false);
  return got::data;
}

bool stream_core::take_filter(filter_place& f) noexcept {
  drain_queue_.lock();
  const bool mine = !f.busy;
  if (mine)
    f.busy = true;
  else
    f.reader_waits = true;
  drain_queue_.unlock();
  return mine;
}

// Reader's role and `busy`. Gives `busy` back.
void stream_core::open_some(filter_place& f) noexcept {
  std::string sealed;
  try {
    const auto o = f.the->open(f.raw.view(), input_, sealed);
    if (o.taken != 0) f.raw.consume(o.taken);
    f.raw_is_new = o.more;
    if (o.ended) f.ended.store(true, relaxed);
    if (f.end_sealed) sealed.clear();  // nothing may follow our end
  } catch (...) {
    input_end_ = input_end::error;
    filter_failed(f, sealed, "open");
    return;
  }
  release_filter(f, sealed, false);
}

// `busy`, and the reader's or the sender's role. Gives `busy` back. If there is no sender and
// something is to be sent, this thread becomes the sender. `sender_rests`: the caller is the
// sender, and gives that role back, too.
void stream_core::release_filter(filter_place& f, std::string& sealed, bool sender_rests) noexcept {
  work_list todo;
  bool lost = false;
  drain_queue_.lock();
  f.busy = false;
  if (!sealed.empty() && stage_ < stage::broken) {
    const auto n = sealed.size();
    try {
      if (f.sealed.empty())
        f.sealed.swap(sealed);
      else
        f.sealed.append(sealed);
      pend_locked(n);
    } catch (const std::bad_alloc&) { lost = true; }
  }
  const bool nudges = std::exchange(f.reader_waits, false);
  const bool sends = sender_ == sending::nobody && (pending_ != 0 || f.sender_waits);
  f.sender_waits = false;
  if (sends) sender_ = sending::thread;
  if (sender_rests) sender_ = sending::nobody;
  wake_drained_locked(todo);
  drain_queue_.unlock();
  todo.settle();
  if (nudges) mover_->nudge();
  if (lost) fail(ENOMEM, "send", found_by::bystander);
  if (sends) send_all({});
}

// As release_filter(), in the handler of an exception of the filter. From here on every operation
// throws that exception. Sealed bytes are still sent, since they may tell the peer of the failure;
// then the stream closes.
void stream_core::filter_failed(filter_place& f, std::string& sealed, const char* call) noexcept {
  drain_queue_.lock();
  if (stage_ < stage::broken) {
    if (error_.load(relaxed) == 0) f.error = std::current_exception();
    note_error_locked(EPROTO, call);
    stage_ = f.lingers ? stage::leaving : stage::draining;
    f.end_sealed = true;
    pending_ -= std::min(pending_, out_.size() + f.unsealed().size());
    out_.clear();
    f.plain.clear();
    f.plain_at = 0;
    f.sender_waits = true;
  } else if (stage_ == stage::broken && !f.error) {
    // A reset was told before the bytes that came before it were opened. They say more, an alert
    // for example.
    f.error = std::current_exception();
  }
  drain_queue_.unlock();
  work_list todo;
  wake_closed(todo, false);
  todo.settle();
  release_filter(f, sealed, false);
}

}  // namespace heddle::detail
