// SPDX-License-Identifier: MIT
// The completing half of a ring: what is done with completions. All of it runs under reap_. The
// other half is uring.cpp.
#include <heddle/core/base/assert.h>
#include <heddle/io/reactor/uring.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace heddle::detail {

/// Exact under reap_; without it a hint.
unsigned uring_reactor::completions_ready() const noexcept {
  // pairs with the kernel's release of the tail
  return __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE) -
         __atomic_load_n(ring_.cq.khead, __ATOMIC_RELAXED);
}

// Takes the completions that are there now. Those that come meanwhile are left to the next call:
// the loop has other things to do.
unsigned uring_reactor::reap_locked() noexcept {
  // The thread that queued an operation wrote, under queue_, things that the completion reads.
  queue_.lock();
  queue_.unlock();
  unsigned seen = 0;
  unsigned left = completions_ready();
  while (left != 0) {
    io_uring_cqe* list[64];
    const unsigned n = ::io_uring_peek_batch_cqe(&ring_, list, std::min(left, 64u));
    if (n == 0) break;
    completion copies[64];
    for (unsigned i = 0; i < n; ++i) copies[i] = {list[i]->user_data, list[i]->res, list[i]->flags};
    ::io_uring_cq_advance(&ring_, n);
    for (unsigned i = 0; i < n; ++i) {
      const auto kind = kind_of(copies[i].mark);
      seen += kind >= operation::poll_each && kind <= operation::send;
      completed(copies[i]);
    }
    left -= n;
  }
  if (starved_) feed_starved();
  return seen;
}

void uring_reactor::completed(const completion& c) noexcept {
  const auto kind = kind_of(c.mark);
  if (kind == operation::ignored) return;
  if (kind == operation::bell) return bell_rang(c);
  auto& s = io_source::at(static_cast<std::uint32_t>((c.mark & 0xffffffff) >> kind_bits));
  const auto generation = static_cast<std::uint32_t>(c.mark >> 32);
  switch (kind) {
    case operation::poll_each:
    case operation::poll_once: polled(s, generation, c); break;
    case operation::receive: received(s, generation, c); break;
    case operation::send: was_sent(s, c); break;
    case operation::cancel_each:
    case operation::cancel_once: was_cancelled(s, generation, c); break;
    default: break;
  }
}

void uring_reactor::bell_rang(const completion& c) noexcept {
  // pairs with the store in the destructor
  if (!(c.flags & IORING_CQE_F_MORE) && !ending_.load(acquire)) arm_bell();
  if (on_own_thread()) return;
  // Protocol BELL: the store and the load pair with the load and the store in poll().
  bell_taken_.store(true, seq_cst);
  if (owner_waits_.load(seq_cst)) wake();
}

// The slot is kept while operations are under way. So a source that a completion names is in the
// life of that operation, or its life has ended and no other has begun.
void uring_reactor::end_operation(io_source& s) noexcept {
  s.readable.lock();
  const bool last = s.operation_ended();
  s.readable.unlock();
  // pairs with the load in the destructor
  operations_.fetch_sub(1, release);
  if (last) s.free_slot();
}

// A lasting poll ends early when the kernel has no room for its completions, or no memory, or when
// the thread that submitted it ends, or when repeat_edge() cancels it. Then it is armed again. Any
// other error would come again at once: a task that waits is woken, and finds the error by trying.
void uring_reactor::polled(io_source& s, std::uint32_t generation, const completion& c) noexcept {
  if (c.result > 0) s.ready(generation, static_cast<unsigned>(c.result));
  if (c.flags & IORING_CQE_F_MORE) return;
  const auto kind = kind_of(c.mark);
  const bool lost = c.result == -ECANCELED || c.result == -ENOMEM || c.result == -EAGAIN;
  const bool told = !lost && c.result <= 0;
  s.readable.lock();
  auto& k = s.kernel;
  k.armed &= static_cast<std::uint8_t>(~bit(kind));
  // A sender may have asked for room after ready(), while the poll still seemed to be armed.
  // The load pairs with the store in ring_transport::send_file().
  const bool lasts = (kind == operation::poll_each || s.wants_write.load(seq_cst)) && c.result >= 0;
  // The load of ending_ pairs with the store in the destructor.
  if ((lasts || lost) && s.generation() == generation && !k.retired && !ending_.load(acquire))
    arm_poll(s, kind);
  s.readable.unlock();
  if (told) s.ready(generation, events::in | events::out);
  end_operation(s);
}

// ENOENT: the kernel did not find the poll where it looked. As long as a poll is armed it is
// cancelled again.
void uring_reactor::was_cancelled(io_source& s, std::uint32_t generation,
                                  const completion& c) noexcept {
  if (c.result == -ENOENT) {
    s.readable.lock();
    // pairs with the store in the destructor
    if (s.kernel.armed != 0 && !ending_.load(acquire)) begin(s, kind_of(c.mark), generation);
    s.readable.unlock();
  }
  end_operation(s);
}

/// The buffer that the kernel has filled, or nullptr.
lent_chunk* uring_reactor::chunk_of(const completion& c) noexcept {
  if (!(c.flags & IORING_CQE_F_BUFFER)) return nullptr;
  const unsigned id = c.flags >> IORING_CQE_BUFFER_SHIFT;
  auto& chunk = buffers_->filled(id, c.result > 0 ? static_cast<std::uint32_t>(c.result) : 0);
  // Bytes that no task reads must not keep buffers from a stream whose reader goes on: the other
  // readers may wait for that one.
  if (chunk.size != 0 && buffers_->is_short())
    if (auto* copy = move_out(chunk)) return copy;
  return &chunk;
}

void uring_reactor::received(io_source& s, std::uint32_t generation, const completion& c) noexcept {
  lent_chunk* chunk = chunk_of(c);
  task_record* woken = nullptr;
  source_owner* told = nullptr;
  bool starves = false;
  bool last = false;
  s.readable.lock();
  auto& k = s.kernel;
  const bool alive = s.generation() == generation && !k.retired;
  if (alive) {
    if (chunk && chunk->size != 0) {
      (k.last ? k.last->next : k.first) = chunk;
      k.last = chunk;
      k.bytes += chunk->size;
      ++k.pieces;
      chunk = nullptr;
    }
    starves = c.result == -ENOBUFS;
  }
  if (!(c.flags & IORING_CQE_F_MORE) && !starves) {
    k.receiving = false;
    k.receiver = nullptr;
    if (alive) receive_ended(s, c);
    last = s.operation_ended();
    // pairs with the load in the destructor
    operations_.fetch_sub(1, release);
  }
  if (alive && (c.result > 0 || k.end != 0)) woken = s.count_edge();
  k.reader_comes |= woken != nullptr;
  if (alive && k.end != 0) told = s.owner;
  if (told) told->hold();
  const int end = k.end;
  s.readable.unlock();
  if (woken) schedule(*woken);
  if (told) {
    if (end < 0)
      told->failed(-end);
    else
      told->hung_up();
    told->drop();
  }
  if (chunk) chunk->lender->give_back(*chunk);
  if (last) s.free_slot();
  if (starves) starve(s);
}

// Protocol BULK: whether much comes at once, by the receive that has ended with `last` bytes.
static std::uint8_t bulk_by(const kernel_side& k, int last) noexcept {
  if (!k.capped) return last == static_cast<int>(uring_buffers::size) ? 1 : 0;
  return last > 0 && k.pieces <= 2 * most_unread / uring_buffers::size ? kernel_side::bulk_looks
                                                                       : 0;
}

// A receive has ended; the source's read lock is held. The next one is begun, unless the stream is
// at its end or its reader is behind, or waits for bytes in bulk: then the reader begins it.
void uring_reactor::receive_ended(io_source& s, const completion& c) noexcept {
  auto& k = s.kernel;
  const bool refused = c.result == -EINVAL && k.capped;
  const bool lost = c.result == -ECANCELED || c.result == -EINTR || c.result == -EAGAIN;
  if (refused) refuse_caps();
  if (c.result == 0) k.end = 1;
  if (c.result < 0 && !refused && !lost) k.end = c.result;
  if (k.bulk == 0) k.bulk = bulk_by(k, c.result);
  if (k.bulk != 0) {
    if (k.reader_comes || !s.readable.empty()) return;
    --k.bulk;  // no task is there to look
  }
  // The load of ending_ pairs with the store in the destructor.
  if (k.end == 0 && k.bytes < most_unread / 4 && s.home.load(relaxed) && !ending_.load(acquire))
    receive_more(s);
}

// A receive that ended for want of buffers: its stream goes to the end of the list of the starved.
// Until it is fed it counts as receiving, so no reader begins a second receive.
void uring_reactor::starve(io_source& s) noexcept {
  s.kernel.next_starved = nullptr;
  (last_starved_ ? last_starved_->kernel.next_starved : starved_) = &s;
  last_starved_ = &s;
  anybody_starves_.store(true, relaxed);
}

void uring_reactor::feed_starved() noexcept {
  // pairs with the store in the destructor
  if (!ending_.load(acquire) && !buffers_->any_or_wake_later()) return;
  io_source* s = std::exchange(starved_, nullptr);
  last_starved_ = nullptr;
  anybody_starves_.store(false, relaxed);
  while (s) {
    io_source& fed = *std::exchange(s, s->kernel.next_starved);
    fed.readable.lock();
    auto& k = fed.kernel;
    k.receiving = false;
    k.receiver = nullptr;
    // pairs with the store in the destructor
    if (!k.retired && !ending_.load(acquire)) receive_more(fed);
    const bool last = fed.operation_ended();
    fed.readable.unlock();
    // pairs with the load in the destructor
    operations_.fetch_sub(1, release);
    if (last) fed.free_slot();
  }
}

void uring_reactor::was_sent(io_source& s, const completion& c) noexcept {
  // The stream's sender's role is the kernel's now. It keeps the owner alive, and the source from
  // being retired.
  auto* owner = s.owner;
  HEDDLE_ASSERT(owner, "a stream was retired while the kernel was sending for it");
  end_operation(s);
  // No stream cancels a send. So ECANCELED means that the thread that submitted it has ended, and
  // the owner tries again; or that this ring ends, and then the try fails.
  owner->sent(c.result == -ECANCELED ? -EAGAIN : c.result);
}

}  // namespace heddle::detail
