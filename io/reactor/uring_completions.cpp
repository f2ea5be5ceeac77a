// SPDX-License-Identifier: MIT
// What a ring does with the completions that it takes. Under reap_ all of it.
#include <heddle/core/base/assert.h>
#include <heddle/io/reactor/uring.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace heddle::detail {

/// A hint without reap_, exact with it.
unsigned uring_reactor::completions_ready() const noexcept {
  return __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE) -  // pairs with the kernel's release
         __atomic_load_n(ring_.cq.khead, __ATOMIC_RELAXED);
}

// Takes what is there now, and not what comes meanwhile: the loop has other things to do.
unsigned uring_reactor::reap_locked() noexcept {
  queue_.lock();  // who queued an operation wrote things that its completion is about to read
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
  if (kind == operation::bell) {
    if (!(c.flags & IORING_CQE_F_MORE) && !ending_.load(acquire))
      arm_bell();  // pairs with the destructor
    return;
  }
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

// The slot is kept while operations are under way, so a source found here is in the life of the
// operation or in none.
void uring_reactor::end_operation(io_source& s) noexcept {
  s.readable.lock();
  const bool last = s.operation_ended();
  s.readable.unlock();
  operations_.fetch_sub(1, release);  // pairs with the destructor
  if (last) s.free_slot();
}

// A lasting poll ends when the kernel has no room for its completions, or no memory, or with the
// thread that submitted it; then it is armed again. Other errors would come again at once: whoever
// waits finds them when it tries.
void uring_reactor::polled(io_source& s, std::uint32_t generation, const completion& c) noexcept {
  if (c.result > 0) s.ready(generation, static_cast<unsigned>(c.result));
  if (c.flags & IORING_CQE_F_MORE) return;
  const auto kind = kind_of(c.mark);
  const bool lost = c.result == -ECANCELED || c.result == -ENOMEM || c.result == -EAGAIN;
  const bool told = !lost && c.result <= 0;
  s.readable.lock();
  auto& k = s.kernel;
  k.armed &= static_cast<std::uint8_t>(~bit(kind));
  const bool lasts = kind == operation::poll_each && c.result >= 0;
  if ((lasts || lost) && s.generation() == generation && !k.retired &&
      !ending_.load(acquire))  // pairs with the destructor
    arm_poll(s, kind);
  s.readable.unlock();
  if (told) s.ready(generation, events::in | events::out);
  end_operation(s);
}

// The poll may not have been where the kernel looked: as long as it has not ended, it is called off
// again.
void uring_reactor::was_cancelled(io_source& s, std::uint32_t generation,
                                  const completion& c) noexcept {
  if (c.result == -ENOENT) {
    s.readable.lock();
    if (s.kernel.armed != 0 && !ending_.load(acquire))  // pairs with the destructor
      begin(s, kind_of(c.mark), generation);
    s.readable.unlock();
  }
  end_operation(s);
}

/// The buffer that the kernel has filled, or nullptr.
lent_chunk* uring_reactor::chunk_of(const completion& c) noexcept {
  if (!(c.flags & IORING_CQE_F_BUFFER)) return nullptr;
  const unsigned id = c.flags >> IORING_CQE_BUFFER_SHIFT;
  auto& chunk = buffers_->filled(id, c.result > 0 ? static_cast<std::uint32_t>(c.result) : 0);
  // What nobody reads must not keep buffers from a stream whose reader is what the others wait
  // for.
  if (chunk.size != 0 && buffers_->is_short())
    if (auto* copy = move_out(chunk)) return copy;
  return &chunk;
}

void uring_reactor::received(io_source& s, std::uint32_t generation, const completion& c) noexcept {
  lent_chunk* chunk = chunk_of(c);
  task_record* woken = nullptr;
  source_owner* failed = nullptr;
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
      chunk = nullptr;
    }
    starves = c.result == -ENOBUFS;
  }
  if (!(c.flags & IORING_CQE_F_MORE) && !starves) {
    k.receiving = false;
    k.receiver = nullptr;
    if (alive) receive_ended(s, c);
    last = s.operation_ended();
    operations_.fetch_sub(1, release);  // pairs with the destructor
  }
  if (alive && (c.result > 0 || k.end != 0)) woken = s.told();
  if (alive && k.end < 0) failed = s.owner;
  if (failed) failed->hold();
  const int code = -k.end;
  s.readable.unlock();
  if (woken) schedule(*woken);
  if (failed) {
    failed->failed(code);
    failed->drop();
  }
  if (chunk) chunk->lender->give_back(*chunk);
  if (last) s.free_slot();
  if (starves) starve(s);
}

// Under the source's read lock: a receive has ended. It goes on unless the stream is at its end, or
// its reader is behind.
void uring_reactor::receive_ended(io_source& s, const completion& c) noexcept {
  auto& k = s.kernel;
  const bool refused = c.result == -EINVAL && k.capped;
  const bool lost = c.result == -ECANCELED || c.result == -EINTR || c.result == -EAGAIN;
  if (refused) refuse_caps();
  if (c.result == 0) k.end = 1;
  if (c.result < 0 && !refused && !lost) k.end = c.result;
  if (k.end == 0 && k.bytes < most_unread / 4 && s.home.load(relaxed) &&
      !ending_.load(acquire))  // pairs with the destructor
    receive_more(s);
}

// A stream whose receiving ended for want of buffers counts as receiving: nobody else starts it.
void uring_reactor::starve(io_source& s) noexcept {
  s.kernel.next_starved = nullptr;
  (last_starved_ ? last_starved_->kernel.next_starved : starved_) = &s;
  last_starved_ = &s;
  anybody_starves_.store(true, relaxed);
}

void uring_reactor::feed_starved() noexcept {
  if (!ending_.load(acquire) && !buffers_->any_or_tell()) return;  // pairs with the destructor
  io_source* s = std::exchange(starved_, nullptr);
  last_starved_ = nullptr;
  anybody_starves_.store(false, relaxed);
  while (s) {
    io_source& fed = *std::exchange(s, s->kernel.next_starved);
    fed.readable.lock();
    auto& k = fed.kernel;
    k.receiving = false;
    k.receiver = nullptr;
    if (!k.retired && !ending_.load(acquire)) receive_more(fed);  // pairs with the destructor
    const bool last = fed.operation_ended();
    fed.readable.unlock();
    operations_.fetch_sub(1, release);  // pairs with the destructor
    if (last) fed.free_slot();
  }
}

void uring_reactor::was_sent(io_source& s, const completion& c) noexcept {
  // The sender's role keeps the owner alive and the source from being retired.
  auto* owner = s.owner;
  HEDDLE_ASSERT(owner, "a stream was retired while the kernel was sending for it");
  end_operation(s);
  // Cancelled by nobody: the thread that submitted it has ended. The owner tries again.
  owner->sent(c.result == -ECANCELED ? -EAGAIN : c.result);
}

}  // namespace heddle::detail
