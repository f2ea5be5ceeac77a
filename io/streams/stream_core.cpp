// SPDX-License-Identifier: MIT
// The life of a connection: how it is opened, and the ways through its stages to its end.
#include <heddle/io/streams/stream_core.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/streams/file_place.h>
#include <heddle/io/transport/filter_place.h>
#include <heddle/io/transport/memory.h>
#include <heddle/io/transport/pipe.h>
#include <heddle/io/transport/ring.h>
#include <heddle/io/transport/socket.h>
#include <heddle/io/transport/terminal.h>

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace heddle::detail {

stream_core::stream_core(owned<transport> mover, bool one_way, std::size_t limit,
                         const address& peer)
    : one_way_(one_way),
      is_unix_(peer.family() == AF_UNIX),
      limit_(limit),
      mover_(std::move(mover)) {
  remember_peer(peer);
}

void stream_core::remember_peer(const address& peer) {
  if (peer.size() <= sizeof short_peer_) {
    short_peer_length_ = narrow<std::uint8_t>(peer.size());
    std::memcpy(short_peer_, peer.data(), peer.size());
  } else {
    long_peer_ = std::make_unique<address>(peer);
  }
}

stream_core::~stream_core() {
  HEDDLE_ASSERT(descriptor() < 0, "a stream was destroyed with its socket open");
}

stream_core* stream_core::open(fd socket, reactor& home, watched_for purpose, std::size_t limit,
                               const address& peer) {
  owned<descriptor_transport> mover;
  if (home.moves_bytes())
    mover.reset(new ring_transport(limit, peer.is_ip()));
  else
    mover.reset(new socket_transport);
  return open_any(std::move(mover), std::move(socket), home, purpose, false, limit, peer);
}

stream_core* stream_core::open_pipe(fd end, reactor& home, watched_for purpose, std::size_t limit) {
  return open_any(owned<descriptor_transport>(new pipe_transport), std::move(end), home, purpose,
                  true, limit, address());
}

stream_core* stream_core::open_terminal(fd side, reactor& home, watched_for purpose,
                                        std::size_t limit) {
  return open_any(owned<descriptor_transport>(new terminal_transport), std::move(side), home,
                  purpose, true, limit, address());
}

stream_core* stream_core::open_any(owned<descriptor_transport> mover, fd end, reactor& home,
                                   watched_for purpose, bool one_way, std::size_t limit,
                                   const address& peer) {
  struct deleter {
    void operator()(stream_core* c) const noexcept { delete c; }
  };
  auto& watched = *mover;
  std::unique_ptr<stream_core, deleter> core(
      new stream_core(std::move(mover), one_way, limit, peer));
  core->established_.store(purpose == watched_for::streaming, relaxed);
  core->told_descriptor_ = end.get();
  core->is_watched_ = true;
  watched.watch(std::move(end), home, *core, purpose);
  return core.release();
}

std::pair<stream_core*, stream_core*> stream_core::open_memory(std::size_t buffer,
                                                               std::size_t limit) {
  auto [a, b] = memory_transport::make_pair(buffer);
  auto& first_end = *a;
  auto& second_end = *b;
  struct deleter {
    void operator()(stream_core* c) const noexcept { delete c; }
  };
  std::unique_ptr<stream_core, deleter> first(
      new stream_core(std::move(a), false, limit, address()));
  std::unique_ptr<stream_core, deleter> second(
      new stream_core(std::move(b), false, limit, address()));
  first->established();
  second->established();
  first_end.belongs_to(*first);
  second_end.belongs_to(*second);
  return {first.release(), second.release()};
}

stream_core* stream_core::open_over(owned<transport> mover, std::size_t limit) {
  auto* core = new stream_core(std::move(mover), false, limit, address());
  core->established();
  return core;
}

address stream_core::peer() const {
  if (long_peer_) return *long_peer_;
  alignas(8) unsigned char copy[sizeof short_peer_];
  std::memcpy(copy, short_peer_, sizeof copy);
  return {reinterpret_cast<const sockaddr*>(copy), short_peer_length_};
}

bool stream_core::is_connecting() const noexcept {
  sockaddr_storage other;
  socklen_t length = sizeof other;
  return ::getpeername(descriptor(), reinterpret_cast<sockaddr*>(&other), &length) != 0 &&
         errno == ENOTCONN;
}

address stream_core::local() noexcept {
  address at;
  drain_queue_.lock();
  if (local_length_ != 0) {
    alignas(8) unsigned char copy[sizeof local_];
    std::memcpy(copy, local_, sizeof copy);
    at = address(reinterpret_cast<const sockaddr*>(copy), local_length_);
  } else if (stage_ != stage::gone) {
    at = mover_->local();
  }
  drain_queue_.unlock();
  return at;
}

void stream_core::set_addresses(const address& peer, const address& local) {
  if (peer.size() != 0) {
    long_peer_.reset();
    remember_peer(peer);
  }
  if (local.size() == 0 || local.size() > sizeof local_) return;
  drain_queue_.lock();
  std::memcpy(local_, local.data(), local.size());
  local_length_ = narrow<std::uint8_t>(local.size());
  drain_queue_.unlock();
}

stream_traffic stream_core::look_at_traffic() noexcept {
  const io_source* source = mover_->source();
  return {source ? source->edges() : 0, mover_->passed().out.bytes()};
}

void stream_core::remember_local_locked() noexcept {
  if (local_length_ != 0) return;
  const address ours = mover_->local();
  if (ours.size() > sizeof local_) return;
  std::memcpy(local_, ours.data(), ours.size());
  local_length_ = narrow<std::uint8_t>(ours.size());
}

void stream_core::throw_error() const {
  // pairs with the store in note_error_locked()
  const int code = error_.load(acquire);
  if (filter_) {
    drain_queue_.lock();
    const auto told = filter_->error;
    drain_queue_.unlock();
    if (told) std::rethrow_exception(told);
  }
  throw_system_error(code, error_call_, peer().to_string());
}

// --- the life of a connection ---

bool stream_core::can_write_eof() noexcept {
  drain_queue_.lock();
  const bool can = !filter_ || filter_->the->ends_alone();
  drain_queue_.unlock();
  return can;
}

void stream_core::write_eof() {
  drain_queue_.lock();
  bool now = false;
  if (stage_ == stage::open && filter_ && !filter_->the->ends_alone()) {
    drain_queue_.unlock();
    throw_usage("write_eof over a filter whose directions end together, as those of TLS 1.2 do");
  }
  if (stage_ == stage::open) {
    stage_ = stage::ending;
    now = sender_ == sending::nobody && pending_ == 0;
    if (now) sender_ = sending::thread;
  }
  drain_queue_.unlock();
  if (now) send_all({});
}

void stream_core::close() noexcept {
  drain_queue_.lock();
  bool now = false;
  if (stage_ <= stage::broken && stage_ != stage::draining) {
    stage_ = stage_ == stage::broken ? stage::aborted : stage::draining;
    now = sender_ == sending::nobody && pending_ == 0;
    if (now) sender_ = sending::thread;
  }
  drain_queue_.unlock();
  if (now) send_all({});
}

void stream_core::linger() noexcept {
  drain_queue_.lock();
  bool now = false;
  if (stage_ <= stage::ending) {
    stage_ = stage::leaving;
    now = sender_ == sending::nobody && pending_ == 0;
    if (now) sender_ = sending::thread;
  } else if (stage_ == stage::half_closed) {
    stage_ = stage::lingering;
  } else if (stage_ == stage::broken) {
    stage_ = stage::aborted;
    now = sender_ == sending::nobody;
    if (now) sender_ = sending::thread;
  }
  drain_queue_.unlock();
  if (now) send_all({});
}

void stream_core::abort() noexcept {
  work_list todo;
  drain_queue_.lock();
  const bool takes_effect = stage_ < stage::aborted;
  bool now = false;
  if (takes_effect) {
    stage_ = stage::aborted;
    cut_short_ = true;
    now = sender_rests_locked();
    if (now) {
      sender_ = sending::closer;
      drop_output_locked();
    } else if (sender_ == sending::kernel) {
      // The kernel may wait for ever for a peer that does not read. The socket is open still, since
      // only the sender, here the kernel, may close it.
      mover_->cut_off();
    }
    wake_drained_locked(todo);
    drop_file_locked(todo);
  }
  drain_queue_.unlock();
  todo.settle();
  if (now) finish();
}

void stream_core::revoke(int code, const char* call) noexcept {
  drain_queue_.lock();
  if (stage_ < stage::aborted) note_error_locked(code, call);
  drain_queue_.unlock();
  abort();
}

// The reactor tells of a reset by the peer, although no task reads or writes. Bytes that the peer
// sent before can still be read.
void stream_core::failed(int code) noexcept {
  // pairs with the store in established()
  if (one_way_ || !established_.load(acquire)) return;
  drain_queue_.lock();
  const bool there = stage_ < stage::broken;
  if (there && code == 0) code = mover_->standing_error();
  drain_queue_.unlock();
  if (there && code != 0) fail(code, "recv", found_by::bystander);
}

// The peer of a Unix socket has gone, perhaps while no task reads or writes. Nothing is lost by
// that: what the peer sent can still be read, and a write will find the error. So the connection
// stays as it is, and only the tasks that wait for its end go on. A connection that is being closed
// has an end of its own. TCP cannot tell a peer that has gone from one that has ended its
// direction.
void stream_core::hung_up() noexcept {
  // pairs with the store in established()
  if (!is_unix_ || !established_.load(acquire)) return;
  drain_queue_.lock();
  const bool gone = stage_ < stage::leaving && mover_->is_over();
  drain_queue_.unlock();
  if (!gone) return;
  work_list todo;
  closed_queue_.lock();
  peer_gone_ = true;
  while (waiter* w = closed_queue_.claim_first()) todo.schedule(*w->task);
  closed_queue_.unlock();
  todo.settle();
}

// The first error stands; later ones are dropped.
void stream_core::note_error_locked(int code, const char* call) noexcept {
  if (error_.load(relaxed) != 0) return;
  error_call_ = call;
  // pairs with the loads in throw_if_broken() and throw_error(), and those in the other two files
  error_.store(code, release);
}

// True: the connection is being closed and the kernel has taken all that was written. Then nothing
// that the peer does is an error. With a filter, all but the filter's own end is enough, if the
// peer's end has come: a peer that has ended need not take our end.
bool stream_core::nothing_is_lost_locked(found_by who) const noexcept {
  if (stage_ != stage::draining) return false;
  // A sender may hold bytes of a write() that are not counted as pending.
  if (pending_ == 0 && who != found_by::sender) return true;
  return filter_ && filter_->ended.load(relaxed) && filter_->end_sealed &&
         pending_ <= filter_->end_size;
}

// The connection has an error. If the sender found it or the reactor told it, receiving goes on:
// the peer may have answered before it went. If the reader found it, or if the writer was closed,
// there is nothing left to do, and the connection ends.
void stream_core::fail(int code, const char* call, found_by who) noexcept {
  work_list todo;
  bool finish_now = false;
  drain_queue_.lock();
  const bool harmless = nothing_is_lost_locked(who);
  if (stage_ < stage::aborted) {
    if (!harmless) note_error_locked(code, call);
    const bool closes =
        who == found_by::reader || (stage_ >= stage::leaving && stage_ <= stage::draining);
    stage_ = closes ? stage::aborted : stage::broken;
    if (sender_rests_locked()) {
      drop_output_locked();
      finish_now = closes;
      sender_ = closes ? sending::closer : sending::nobody;
    } else if (sender_ == sending::kernel && closes) {
      mover_->cut_off();
    }
  } else if (who == found_by::sender && stage_ == stage::aborted && !cut_short_ && pending_ == 0) {
    // The connection ended by an error that seemed harmless, since this sender's bytes were not
    // counted. They are lost.
    note_error_locked(code, call);
  }
  wake_drained_locked(todo);
  drop_file_locked(todo);
  drain_queue_.unlock();
  if (!harmless) wake_closed(todo, false);
  todo.settle();
  if (finish_now) finish();
}

void stream_core::wake_closed(work_list& todo, bool closed) noexcept {
  closed_queue_.lock();
  if (closed) closed_ = true;
  while (waiter* w = closed_queue_.claim_first()) todo.schedule(*w->task);
  closed_queue_.unlock();
}

// The end. Closer's role, which is never given back.
void stream_core::finish() noexcept {
  work_list todo;
  drain_queue_.lock();
  const bool reset = stage_ == stage::aborted && error_.load(relaxed) == 0;
  remember_local_locked();
  stage_ = stage::gone;
  wake_drained_locked(todo);
  drop_file_locked(todo);
  drain_queue_.unlock();
  if (filter_) mover_->drop_at_close();
  mover_->retire(reset);
  // pairs with the exchange in end_read(): closer and reader agree on who closes
  const auto old = use_.fetch_or(closing, acq_rel);
  if (!(old & reading)) mover_->close();
  wake_closed(todo, true);
  todo.settle();
  if (auto told = std::move(listener_)) told->closed(*this);
  unref();
}

bool stream_core::is_closing() noexcept {
  drain_queue_.lock();
  const bool is = stage_ >= stage::leaving;
  drain_queue_.unlock();
  return is;
}

HEDDLE_NOINLINE bool stream_core::wait_closed(waiter& w, task_record& t) noexcept {
  mover_->listen();
  const bool minds_peer = is_unix_ && !is_closing();
  closed_queue_.lock();
  const bool over = closed_ || (minds_peer && peer_gone_);
  // The load of error_ pairs with the store in note_error_locked().
  const bool waits = !over && error_.load(acquire) == 0 && closed_queue_.suspend(w, t);
  closed_queue_.unlock();
  return waits;
}

void stream_core::set_filter(std::unique_ptr<filter> f) {
  begin_read();
  struct releaser {
    stream_core& core;
    ~releaser() { core.end_read(); }
  } at_end{*this};
  auto place = make_filter_place(std::move(f));
  if (!place_filter(place)) throw_usage("the filter of this stream is busy");
}

bool stream_core::set_held_filter(std::unique_ptr<filter_place>& place, bool lingers) {
  place->held = true;
  place->lingers = lingers;
  return place_filter(place);
}

std::unique_ptr<filter_place> stream_core::make_filter_place(std::unique_ptr<filter> f) {
  auto place = std::make_unique<filter_place>();
  place->the = std::move(f);
  const bool above = filter_ && filter_->the->seals() && place->the->goes_above(*filter_->the);
  if (!above) place->raw.append(input_.view());
  if (filter_) place->raw.append(filter_->raw.view());
  place->raw_is_new = !place->raw.empty() || !input_.empty();
  place->the->begin(place->sealed);
  return place;
}

// Reader's role. False: a filter that is there is busy in another thread.
bool stream_core::place_filter(std::unique_ptr<filter_place>& place) {
  bool now = false;
  bool refused = false;
  {
    const output_lock hold(drain_queue_);
    refused = stage_ != stage::open;
    if (!refused && sends_file_locked())
      throw_usage("a filter cannot be set while a file is being sent");
    auto greeting = place->sealed.size();
    std::string first;  // what was written before, sent as it is
    if (filter_ && !refused) {
      const bool above = filter_->the->seals();
      if (above && !place->the->goes_above(*filter_->the))
        throw_usage("this stream has a filter already");
      if (filter_->busy) return false;
      if (above) {
        pending_ -= std::min(pending_, filter_->unsealed().size() + out_.size());
        greeting = put_above(*filter_, *place, out_, input_.view());
      } else {
        first.append(filter_->sealed).append(filter_->unsealed());
      }
    }
    if (!refused) {
      first.append(out_).append(place->sealed);
      place->sealed.swap(first);
      out_.clear();
      pending_ += greeting;
      place->before = std::move(filter_);
      filter_ = std::move(place);
      now = sender_ == sending::nobody && pending_ != 0;
      if (now) sender_ = sending::thread;
    }
  }
  if (refused) {
    throw_if_broken();  // by a peer that went at once
    throw_usage("a filter cannot be set when the writer was closed or ended");
  }
  input_.clear();
  if (now) send_all({});
  return true;
}

void stream_core::end_filter() {
  drain_queue_.lock();
  const bool open = stage_ == stage::open && filter_ && !filter_->end_sealed;
  bool now = false;
  if (open) {
    filter_->end_wanted = true;
    now = sender_ == sending::nobody && pending_ == 0;
    if (now) sender_ = sending::thread;
  }
  drain_queue_.unlock();
  if (!open) throw_usage("the end of a filter that has none, or whose stream was ended");
  filter_->passes_at_end = true;
  if (filter_->ended.load(relaxed) && input_end_ == input_end::orderly)
    input_end_ = input_end::none;  // the filter's end was read, and more may follow
  if (now) send_all({});
}

filter* stream_core::current_filter() noexcept {
  drain_queue_.lock();
  filter* f = filter_ ? filter_->the.get() : nullptr;
  drain_queue_.unlock();
  return f;
}

}  // namespace heddle::detail
