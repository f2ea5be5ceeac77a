// SPDX-License-Identifier: MIT
#include <heddle/io/stream_core.h>

#include <heddle/core/assert.h>
#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/core/executor_hooks.h>
#include <heddle/core/thread_state.h>

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <memory>

namespace heddle::detail {
namespace {

constexpr std::size_t kept_capacity = 256;
constexpr std::size_t most_a_turn = 1024 * 1024;  // sent by one call before others have their turn

/// Ends both directions although operations in the kernel keep the socket open, which a close alone
/// does not.
void cut_off(int socket, bool reset) noexcept {
  if (reset) {  // TCP answers a disconnect with a reset; other families refuse it
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    if (::connect(socket, &none, sizeof none) == 0) return;
  }
  ::shutdown(socket, SHUT_RDWR);
}

}  // namespace

stream_core::stream_core(bool kernel_moves, bool pipe, std::size_t limit, const address& peer)
    : limit_(limit), kernel_moves_(kernel_moves), pipe_(pipe) {
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
  return open_any(std::move(socket), home, purpose, limit, peer, false);
}

stream_core* stream_core::open_pipe(fd end, reactor& home, watched_for purpose, std::size_t limit) {
  return open_any(std::move(end), home, purpose, limit, address(), true);
}

stream_core* stream_core::open_any(fd socket, reactor& home, watched_for purpose, std::size_t limit,
                                   const address& peer, bool pipe) {
  struct deleter {
    void operator()(stream_core* c) const noexcept { delete c; }
  };
  std::unique_ptr<stream_core, deleter> core(
      new stream_core(home.moves_bytes() && !pipe, pipe, limit, peer));
  core->established_.store(purpose == watched_for::streaming, relaxed);
  core->descriptor_.store(socket.get(), release);  // pairs with descriptor(); events come at once
  try {
    core->source_ = &home.watch(socket.get(), core.get(), purpose);
  } catch (...) {
    core->descriptor_.store(-1, relaxed);
    throw;
  }
  core->name_ = core->source_->name();
  (void)socket.release();
  return core.release();
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
  } else if (!finishing_) {
    at = address::local_of(descriptor());
  }
  drain_queue_.unlock();
  return at;
}

void stream_core::throw_error() const {
  throw_system_error(error_.load(acquire), error_call_, peer().to_string());  // pairs with fail()
}

// --- reader ---

void stream_core::begin_read() {
  if (use_.fetch_or(reading, acq_rel) & reading) [[unlikely]]  // pairs with end_read()
    throw_usage("another task is reading from this stream: one reads at a time");
}

void stream_core::end_read() noexcept {
  if (use_.fetch_and(static_cast<std::uint8_t>(~reading), acq_rel) & closing)
      [[unlikely]]  // pairs with finish()
    close_descriptor();
}

stream_core::got stream_core::receive() {
  if (kernel_moves_) return receive_moved();
  for (;;) {
    if (use_.load(acquire) & closing) [[unlikely]] {  // pairs with finish()
      eof_ = true;
      failed_ = error_.load(acquire) != 0;  // pairs with fail()
      return got::end;
    }
    if (eof_) return got::end;
    const auto seen = source_->edges();
    if (is_drained_ && seen == drained_at_) return got::nothing;
    input_.make_room();
    const auto room = input_.room();
    const auto n = pipe_ ? ::read(descriptor(), input_.tail(), room)
                         : ::recv(descriptor(), input_.tail(), room, MSG_DONTWAIT);
    if (n > 0) [[likely]] {
      input_.added(static_cast<std::size_t>(n));
      // A short read has emptied the socket, and an edge will tell of more; but the end of the
      // stream may have been told already.
      is_drained_ = static_cast<std::size_t>(n) < room && !source_->ended.load(relaxed);
      drained_at_ = seen;
      return got::data;
    }
    const int code = errno;
    if (input_.empty()) input_.clear();
    if (n == 0) {
      eof_ = true;
      const int sent = error_.load(acquire);  // pairs with fail()
      failed_ = sent != 0 && sent != EPIPE;
      if (pipe_) close();  // nothing can follow; the reader, which has the role, closes it
      return got::end;
    }
    if (code == EINTR) continue;
    if (code == EAGAIN || code == EWOULDBLOCK) {
      is_drained_ = true;
      drained_at_ = seen;
      return got::nothing;
    }
    eof_ = failed_ = true;
    fail(code, "recv", found_by::reader);
    return got::end;
  }
}

/// Under the source's read lock, which keeps the reactor: the nearest ring of the runtime that the
/// stream was opened in; nullptr when that is gone.
reactor* stream_core::mover() const noexcept {
  reactor* home = source_->home.load(relaxed);
  return home ? &home->nearest() : nullptr;
}

// The kernel has put it into lent buffers, or is told to from here on.
stream_core::got stream_core::receive_moved() {
  if (use_.load(acquire) & closing) [[unlikely]] {  // pairs with finish()
    eof_ = true;
    failed_ = error_.load(acquire) != 0;  // pairs with fail()
    return got::end;
  }
  if (eof_) return got::end;
  if (is_drained_ && source_->edges() == drained_at_) return got::nothing;
  lent_chunk* chunk = nullptr;
  int end = 0;
  source_->readable.lock();
  auto& k = source_->kernel;
  if (source_->generation() == name_.generation) {
    chunk = k.first;
    if (chunk) {
      k.first = chunk->next;
      if (!k.first) k.last = nullptr;
      k.bytes -= chunk->size;
    } else {
      end = k.end;
    }
    drained_at_ = source_->edges();
    is_drained_ = k.first == nullptr && k.end == 0;
    if (!k.receiving && k.end == 0 && k.bytes < limit_)
      if (auto* r = mover()) r->receive_more(*source_);
  }
  source_->readable.unlock();
  if (chunk) {
    input_.adopt(*chunk);
    return got::data;
  }
  if (end == 0) return got::nothing;
  eof_ = true;
  if (end > 0) {
    const int sent_error = error_.load(acquire);  // pairs with fail()
    failed_ = sent_error != 0 && sent_error != EPIPE;
  } else {
    failed_ = true;
    fail(-end, "recv", found_by::reader);
  }
  return got::end;
}

// Bytes go from the socket to the ring's completions and from there to the source: they are looked
// for in that order, so that none is overtaken on its way.
bool stream_core::quiet() {
  begin_read();
  struct leaver {
    stream_core& core;
    ~leaver() { core.end_read(); }
  } const at_end{*this};
  if (!input_.empty() || eof_ || error_.load(acquire) != 0) return false;  // pairs with fail()
  if (use_.load(acquire) & closing) return false;                          // pairs with finish()
  pollfd now{descriptor(), POLLIN | POLLRDHUP, 0};
  if (now.fd < 0 || ::poll(&now, 1, 0) != 0) return false;
  if (!kernel_moves_) return true;
  source_->readable.lock();
  reactor* receiver =
      source_->generation() == name_.generation ? source_->kernel.receiver : nullptr;
  source_->readable.unlock();
  if (receiver && !receiver->collect()) return false;
  return receive_moved() == got::nothing;
}

HEDDLE_NOINLINE bool stream_core::wait_readable(waiter& w, task_record& t) noexcept {
  auto& q = source_->readable;
  q.lock();
  const bool waits = source_->generation() == name_.generation && source_->edges() == drained_at_ &&
                     q.suspend(w, t);
  q.unlock();
  return waits;
}

// --- writer ---

void stream_core::pend(std::size_t more) noexcept {
  pending_ += more;
  if (pending_ > high_) paused_ = true;
}

void stream_core::write(std::string_view bytes) {
  if (bytes.empty()) return;
  drain_queue_.lock();
  if (closing_ || broken_) {
    drain_queue_.unlock();
    return;
  }
  if (eof_wanted_) {
    drain_queue_.unlock();
    throw_usage("write after write_eof");
  }
  if (sending_ || pending_ != 0) {
    struct unlocker {
      wait_queue& q;
      ~unlocker() { q.unlock(); }
    } at_end{drain_queue_};
    out_.append(bytes);
    pend(bytes.size());
    return;
  }
  if (kernel_moves_) {
    try {
      inflight_.assign(bytes);
    } catch (...) {
      drain_queue_.unlock();
      throw;
    }
    offset_ = 0;
    pend(bytes.size());
  }
  sending_ = true;
  drain_queue_.unlock();
  send_all(kernel_moves_ ? std::string_view() : bytes);
}

// Sender's role, which the kernel then has, until sent(). False: there is nothing to send any more.
bool stream_core::hand_to_kernel() noexcept {
  source_->readable.lock();
  auto* r = mover();
  drain_queue_.lock();
  const bool given = r && !aborting_ && !broken_;
  in_kernel_ = given;
  drain_queue_.unlock();
  if (given)
    r->send(*source_, descriptor(), inflight_.data() + offset_, inflight_.size() - offset_);
  else
    offset_ = inflight_.size();
  source_->readable.unlock();
  return given;
}

void stream_core::sent(int result) noexcept {
  work_list todo;
  drain_queue_.lock();
  in_kernel_ = false;
  if (result > 0) {
    pending_ -= std::min(pending_, static_cast<std::size_t>(result));
    wake_drained(todo);
  }
  const bool over = aborting_;
  drain_queue_.unlock();
  todo.settle();
  if (result >= 0) {
    offset_ += static_cast<std::size_t>(result);
  } else if (result != -EINTR && result != -EAGAIN) {
    offset_ = inflight_.size();
    if (!over) fail(-result, "send", found_by::sender);
  }
  send_all({});
}

// Sender's role. Sends `direct`, then what is in flight, then what others added meanwhile, until
// nothing is left or the kernel takes no more; then gives the role back.
void stream_core::send_all(std::string_view direct) noexcept {
  bool flagged = false;  // wants_write was set since the last success
  std::size_t turn = 0;  // sent in this call
  for (;;) {
    const bool from_caller = !direct.empty();
    const std::string_view piece =
        from_caller ? direct : std::string_view(inflight_).substr(offset_);
    if (piece.empty()) {
      work_list todo;
      bool end_direction = false;
      bool end_all = false;
      bool reset = false;
      offset_ = 0;
      inflight_.clear();
      drain_queue_.lock();
      if (aborting_ || broken_) drop_output();
      if (!out_.empty()) {
        inflight_.swap(out_);
        drain_queue_.unlock();
        continue;
      }
      end_direction = eof_wanted_ && !eof_sent_ && !broken_;
      if (end_direction) eof_sent_ = true;
      end_all = closing_ && !end_direction;
      reset = aborting_ && !broken_;
      look_again_ = false;
      if (!end_direction && !end_all) {
        sending_ = false;
        if (inflight_.capacity() > kept_capacity)
          std::string().swap(inflight_);  // idle: hardly any memory
        if (out_.capacity() > kept_capacity) std::string().swap(out_);
      }
      wake_drained(todo);
      drain_queue_.unlock();
      todo.settle();
      if (end_direction) {
        if (pipe_)
          close();
        else
          ::shutdown(descriptor(), SHUT_WR);
        continue;
      }
      if (end_all) finish(reset);
      return;
    }

    if (kernel_moves_) {
      if (hand_to_kernel()) return;
      continue;
    }
    bool hands_over = false;
    const auto n = send_some(piece);
    if (n >= 0) [[likely]] {
      flagged = false;
      const auto sent = static_cast<std::size_t>(n);
      turn += sent;
      if (from_caller) {
        direct.remove_prefix(sent);
      } else {
        offset_ += sent;
        work_list todo;
        drain_queue_.lock();
        pending_ -= sent;
        wake_drained(todo);
        const bool aborted = aborting_;
        drain_queue_.unlock();
        todo.settle();
        if (aborted) offset_ = inflight_.size();
      }
      // A peer that reads as fast as we send must not hold this loop: the rest has to queue.
      hands_over = turn >= most_a_turn && current_runtime_id() != 0 &&
                   !(from_caller ? direct.empty() : offset_ == inflight_.size());
      if (!hands_over) continue;
    }
    const int code = hands_over ? EAGAIN : errno;
    if (code == EINTR) continue;
    if (code != EAGAIN && code != EWOULDBLOCK) {
      direct = {};
      offset_ = inflight_.size();
      fail(code, "send", found_by::sender);
      continue;
    }
    if (!flagged && !hands_over) {                // protocol EDGE: once more with the flag up
      source_->wants_write.store(true, seq_cst);  // pairs with io_source::ready()
      flagged = true;
      continue;
    }
    if (from_caller) {
      try {
        inflight_.assign(direct);
        offset_ = 0;
      } catch (const std::bad_alloc&) {
        direct = {};
        fail(ENOMEM, "send", found_by::sender);
        continue;
      }
    }
    drain_queue_.lock();
    if (from_caller) pend(direct.size());
    direct = {};
    if ((look_again_ && !hands_over) || aborting_) {
      look_again_ = false;
      flagged = false;
      if (aborting_) offset_ = inflight_.size();
      drain_queue_.unlock();
      continue;
    }
    sending_ = false;
    if (hands_over) ref();  // for the continuation: the one that closes may come first
    drain_queue_.unlock();
    if (hands_over) continue_later();
    return;
  }
}

ssize_t stream_core::send_some(std::string_view piece) const noexcept {
  const int to = descriptor();
  if (!pipe_) return ::send(to, piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  // A pipe has no MSG_NOSIGNAL. A loop's thread blocks SIGPIPE; others do it here.
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

// Takes over a reference. If the runtime ends first, reactor_gone() ends what is left.
void stream_core::continue_later() noexcept {
  struct continuation final : callback_base {
    explicit continuation(stream_core& c) noexcept : core(&c) {}
    ~continuation() override { core->unref(); }
    void run() override { core->writable(); }
    stream_core* const core;
  };
  owned<callback_base> rest;
  try {
    rest.reset(new continuation(*this));
    prepare_callback(*rest);
  } catch (const std::bad_alloc&) {
    writable();
    if (!rest) unref();  // else the continuation has the reference, and drops it
    return;
  }
  post_callback(current_runtime_id(), this_thread().loop, std::move(rest));
}

void stream_core::writable() noexcept {
  drain_queue_.lock();
  if (sending_) {
    look_again_ = true;
    drain_queue_.unlock();
    return;
  }
  const bool something = pending_ != 0;
  if (something) sending_ = true;
  drain_queue_.unlock();
  if (something) send_all({});
}

void stream_core::write_eof() {
  drain_queue_.lock();
  const bool now = !eof_wanted_ && !closing_ && !broken_ && !sending_ && pending_ == 0;
  eof_wanted_ = true;
  if (now) sending_ = true;
  drain_queue_.unlock();
  if (now) send_all({});
}

void stream_core::close() noexcept {
  drain_queue_.lock();
  const bool now = !closing_ && !sending_ && pending_ == 0;
  closing_ = true;
  if (now) sending_ = true;
  drain_queue_.unlock();
  if (now) finish(false);
}

void stream_core::abort() noexcept {
  work_list todo;
  drain_queue_.lock();
  if (gone_ || aborting_) {
    drain_queue_.unlock();
    return;
  }
  const bool now = !sending_;
  closing_ = true;
  aborting_ = true;
  if (now) {
    sending_ = true;
    drop_output();
  }
  // The kernel may wait for ever for a peer that does not read. The socket is still open: only a
  // sender closes it.
  if (in_kernel_) cut_off(descriptor(), true);
  wake_drained(todo);
  drain_queue_.unlock();
  todo.settle();
  if (now) finish(true);
}

void stream_core::reactor_gone() noexcept { abort(); }

// Nobody need be reading or writing to learn that the peer has reset the connection. What it sent
// before that can still be read.
void stream_core::failed(int code) noexcept {
  if (pipe_ || !established_.load(acquire)) return;  // pairs with established()
  drain_queue_.lock();
  const bool there = !finishing_ && !broken_ && !aborting_;
  socklen_t length = sizeof code;
  if (there && code == 0) (void)::getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &code, &length);
  drain_queue_.unlock();
  if (there && code != 0) fail(code, "recv", found_by::bystander);
}

// Under the output lock, and nobody else sends.
void stream_core::drop_output() noexcept {
  out_.clear();
  inflight_.clear();
  offset_ = 0;
  pending_ = 0;
}

// The first error stands. Found by the sender, the receiving direction goes on, since the peer may
// have answered before it went; found by the reader, nothing is left to do.
void stream_core::fail(int code, const char* call, found_by who) noexcept {
  work_list todo;
  bool finish_now = false;
  drain_queue_.lock();
  if (error_.load(relaxed) == 0) {
    error_call_ = call;
    error_.store(code, release);  // pairs with throw_if_broken()
  }
  broken_ = true;
  if (who == found_by::sender) {
    out_.clear();
    pending_ = 0;
  } else if (who == found_by::bystander) {
    // A sender drops the output itself, and closes when that was asked for. Without a sender
    // nothing is left that would come by once more: no output, so no event of room.
    if (!sending_) {
      drop_output();
      sending_ = finish_now = closing_;
    }
  } else {
    out_.clear();
    closing_ = true;
    if (sending_) {
      aborting_ = true;
    } else {
      sending_ = finish_now = true;
      drop_output();
    }
  }
  wake_drained(todo);
  drain_queue_.unlock();
  closed_queue_.lock();
  while (waiter* w = closed_queue_.claim_first()) todo.schedule(*w->task);
  closed_queue_.unlock();
  todo.settle();
  if (finish_now) finish(false);
}

// Closer's role, which is never given back.
void stream_core::finish(bool reset) noexcept {
  resets_ = reset;
  drain_queue_.lock();
  if (!pipe_) {  // it can be asked for afterwards
    const address ours = address::local_of(descriptor());
    if (ours.size() <= sizeof local_) {
      std::memcpy(local_, ours.data(), ours.size());
      local_length_ = narrow<std::uint8_t>(ours.size());
    }
  }
  finishing_ = true;
  drain_queue_.unlock();
  if (reset) {
    const linger at_once{1, 0};
    ::setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  source_->retire();
  const auto old = use_.fetch_or(closing, acq_rel);  // pairs with end_read()
  if (!(old & reading)) close_descriptor();
  work_list todo;
  drain_queue_.lock();
  gone_ = true;
  wake_drained(todo);
  drain_queue_.unlock();
  closed_queue_.lock();
  closed_ = true;
  while (waiter* w = closed_queue_.claim_first()) todo.schedule(*w->task);
  closed_queue_.unlock();
  todo.settle();
  if (auto told = std::move(listener_)) told->closed(*this);
  unref();
}

void stream_core::close_descriptor() noexcept {
  const int d = descriptor_.exchange(-1, acq_rel);  // pairs with descriptor()
  if (d < 0) return;
  if (kernel_moves_) cut_off(d, resets_);
  ::close(d);
}

bool stream_core::is_closing() noexcept {
  drain_queue_.lock();
  const bool is = closing_ || broken_;
  drain_queue_.unlock();
  return is;
}

std::size_t stream_core::buffered() noexcept {
  drain_queue_.lock();
  const auto n = pending_;
  drain_queue_.unlock();
  return n;
}

void stream_core::set_limits(std::size_t high, std::size_t low) {
  if (low > high) throw bad_value("the low mark of a writer is above the high one");
  work_list todo;
  drain_queue_.lock();
  high_ = high;
  low_ = low;
  paused_ = pending_ > high_ || (paused_ && pending_ > low_);
  wake_drained(todo);
  drain_queue_.unlock();
  todo.settle();
}

// Under the output lock.
void stream_core::wake_drained(work_list& todo) noexcept {
  if (paused_ && pending_ <= low_) paused_ = false;
  if (paused_ && !broken_ && !gone_ && !aborting_) return;
  while (waiter* w = drain_queue_.claim_first()) todo.schedule(*w->task);
}

bool stream_core::drained() {
  throw_if_broken();
  drain_queue_.lock();
  const bool gone = gone_ || aborting_;
  const bool paused = paused_;
  drain_queue_.unlock();
  if (gone) throw_system_error(ECONNRESET, "drain of a closed connection", peer().to_string());
  return !paused;
}

HEDDLE_NOINLINE bool stream_core::wait_drained(waiter& w, task_record& t) noexcept {
  drain_queue_.lock();
  const bool waits = paused_ && !broken_ && !gone_ && !aborting_ && drain_queue_.suspend(w, t);
  drain_queue_.unlock();
  return waits;
}

// Waiting for the end wants to hear of the peer's failure, also if nobody reads.
void stream_core::listen() noexcept {
  if (!kernel_moves_) return;
  source_->readable.lock();
  const auto& k = source_->kernel;
  if (source_->generation() == name_.generation && !k.receiving && k.end == 0 && k.bytes < limit_)
    if (auto* r = mover()) r->receive_more(*source_);
  source_->readable.unlock();
}

HEDDLE_NOINLINE bool stream_core::wait_closed(waiter& w, task_record& t) noexcept {
  listen();
  closed_queue_.lock();
  const bool waits =
      !closed_ && error_.load(acquire) == 0 && closed_queue_.suspend(w, t);  // pairs with fail()
  closed_queue_.unlock();
  return waits;
}

}  // namespace heddle::detail
