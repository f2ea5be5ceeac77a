// SPDX-License-Identifier: MIT
#include <heddle/io/uring_reactor.h>

#include <heddle/core/assert.h>
#include <heddle/core/errors.h>

#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>

namespace heddle::detail {
namespace {

constexpr unsigned entries = 1024;
constexpr unsigned completions = 8192;
constexpr std::size_t most_unread = 256 * 1024;  // of one stream, before its receiving is stopped

// What an operation is marked with: generation, slot and kind of operation.
enum class operation : std::uint8_t { ignored, bell, poll_each, poll_once, receive, send };
constexpr unsigned kind_bits = 4;

std::uint64_t mark_of(source_name n, operation kind) noexcept {
  return (static_cast<std::uint64_t>(n.generation) << 32) |
         (static_cast<std::uint64_t>(n.slot) << kind_bits) | static_cast<std::uint64_t>(kind);
}
std::uint64_t mark_of(operation kind) noexcept { return static_cast<std::uint64_t>(kind); }

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

// liburing maps and unmaps by system calls of its own, which ThreadSanitizer does not see: that the memory of a ring that is gone
// was given to the next one is said here.
constinit atomic<unsigned> rings_ended{0};

void end_ring(io_uring& ring) noexcept {
  rings_ended.fetch_add(1, release);  // pairs with make_ring(); before the memory can be given away
  ::io_uring_queue_exit(&ring);
}

void make_ring(io_uring& ring) {
  io_uring_params p{};
  p.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE |
            IORING_SETUP_CLAMP;
  p.cq_entries = completions;
  const int error = ::io_uring_queue_init_params(entries, &ring, &p);
  (void)rings_ended.load(acquire);  // pairs with end_ring()
  if (error < 0) throw_system_error(-error, "io_uring_setup");
}

// Bytes that were moved out of the ring's buffers.
struct moved_lender final : buffer_lender {
  void give_back(lent_chunk& chunk) noexcept override { ::operator delete(&chunk); }
  [[nodiscard]] bool is_short() const noexcept override { return false; }
};
constinit moved_lender moved;

/// nullptr: no memory.
lent_chunk* move_out(lent_chunk& chunk) noexcept {
  void* memory = ::operator new(sizeof(lent_chunk) + chunk.size, std::nothrow);
  if (!memory) return nullptr;
  char* bytes = static_cast<char*>(memory) + sizeof(lent_chunk);
  std::memcpy(bytes, chunk.data, chunk.size);
  auto* copy = ::new (memory) lent_chunk;
  copy->lender = &moved;
  copy->data = bytes;
  copy->size = chunk.size;
  chunk.lender->give_back(chunk);
  return copy;
}

}  // namespace

// --- buffers ---

uring_buffers* uring_buffers::make(io_uring& ring, reactor& owner) {
  auto* b = new uring_buffers;
  constexpr std::size_t ring_bytes = count * sizeof(io_uring_buf);
  constexpr std::size_t all = count * size + ring_bytes;
  void* memory = ::mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    const int error = errno;
    delete b;
    throw_system_error(error, "mmap of receive buffers");
  }
  b->memory_ = static_cast<char*>(memory);
  b->ring_ = reinterpret_cast<io_uring_buf_ring*>(b->memory_ + count * size);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(b->ring_);
  registration.ring_entries = count;
  registration.bgid = group;
  const int error = ::io_uring_register_buf_ring(&ring, &registration, 0);
  if (error < 0) {
    delete b;
    throw_system_error(-error, "io_uring_register_buf_ring");
  }
  b->owner_ = &owner;
  io_uring_buf_ring_init(b->ring_);
  for (unsigned i = 0; i < count; ++i) {
    b->chunks_[i].lender = b;
    b->chunks_[i].data = b->memory_ + i * size;
    b->chunks_[i].id = static_cast<std::uint16_t>(i);
    io_uring_buf_ring_add(b->ring_, b->chunks_[i].data, size, static_cast<unsigned short>(i),
                          io_uring_buf_ring_mask(count), static_cast<int>(i));
  }
  io_uring_buf_ring_advance(b->ring_, count);
  return b;
}

uring_buffers::~uring_buffers() {
  if (memory_) ::munmap(memory_, count * size + count * sizeof(io_uring_buf));
}

void uring_buffers::ring_gone(io_uring& ring) noexcept {
  (void)::io_uring_unregister_buf_ring(&ring, group);
  lock_.lock();
  owner_ = nullptr;
  const bool last = lent_ == 0;
  lock_.unlock();
  if (last) delete this;
}

lent_chunk& uring_buffers::filled(unsigned id, std::uint32_t bytes) noexcept {
  lock_.lock();
  ++lent_;
  available_.store(available_.load(relaxed) - 1, relaxed);
  lock_.unlock();
  auto& c = chunks_[id];
  c.size = bytes;
  c.next = nullptr;
  return c;
}

void uring_buffers::give_back(lent_chunk& chunk) noexcept {
  lock_.lock();
  --lent_;
  bool last = false;
  if (owner_) {
    io_uring_buf_ring_add(ring_, chunk.data, size, chunk.id, io_uring_buf_ring_mask(count), 0);
    io_uring_buf_ring_advance(ring_, 1);
    const unsigned now = available_.load(relaxed) + 1;
    available_.store(now, relaxed);
    if (starving_ && now >= count / 8) {
      starving_ = false;
      owner_->wake();  // under the lock: the reactor cannot go meanwhile
    }
  } else {
    last = lent_ == 0;
  }
  lock_.unlock();
  if (last) delete this;
}

bool uring_buffers::any_or_tell() noexcept {
  lock_.lock();
  const bool any = available_.load(relaxed) >= count / 8;
  starving_ = !any;
  lock_.unlock();
  return any;
}

// --- the ring ---

uring_reactor::uring_reactor()
    : reactor(true), bell_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  make_ring(ring_);
  try {
    buffers_ = uring_buffers::make(ring_, *this);
    // Once a process; allowed again and again.
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0)
      throw_system_error(errno, "membarrier");
  } catch (...) {
    if (buffers_) buffers_->ring_gone(ring_);
    end_ring(ring_);
    throw;
  }
}

// The tasks are gone, but closed connections may still be sending what they were given, and the
// kernel may hold on to their memory: all of it is called off and awaited.
uring_reactor::~uring_reactor() {
  end_subscriptions();
  io_source::orphan_all(*this);
  queue_.lock();
  if (io_uring_sqe* e = ::io_uring_get_sqe(&ring_)) {
    io_uring_prep_cancel64(e, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(e, mark_of(operation::ignored));
  }
  submit_locked();
  queue_.unlock();
  for (int i = 0; i < 1000 && operations_.load(acquire) != 0; ++i) {  // pairs with operation_done()
    (void)enter(0, 1, std::chrono::milliseconds(1));
    reap_.lock();
    (void)reap_locked();
    reap_.unlock();
  }
  buffers_->ring_gone(ring_);
  end_ring(ring_);
}

bool uring_reactor::on_own_thread() const noexcept {
  return has_owner_.load(acquire) &&
         ::pthread_equal(owner_, ::pthread_self());  // pairs with poll()
}

// Under queue_: makes what was prepared visible to the kernel. Returns how many entries wait there.
unsigned uring_reactor::publish_locked() noexcept {
  auto& sq = ring_.sq;
  unsigned tail = __atomic_load_n(sq.ktail, __ATOMIC_RELAXED);  // ours alone to write
  while (sq.sqe_head != sq.sqe_tail) {
    sq.array[tail & sq.ring_mask] = sq.sqe_head & sq.ring_mask;
    ++tail;
    ++sq.sqe_head;
  }
  __atomic_store_n(sq.ktail, tail, __ATOMIC_RELEASE);         // pairs with the kernel's acquire
  return tail - __atomic_load_n(sq.khead, __ATOMIC_ACQUIRE);  // pairs with the kernel's release
}

/// A hint without reap_, exact with it.
unsigned uring_reactor::completions_ready() const noexcept {
  return __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE) -  // pairs with the kernel's release
         __atomic_load_n(ring_.cq.khead, __ATOMIC_RELAXED);
}

int uring_reactor::enter(unsigned submit, unsigned wait_for, duration limit) noexcept {
  __kernel_timespec time{};
  io_uring_getevents_arg arg{};
  arg.sigmask_sz = _NSIG / 8;
  unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  if (wait_for != 0 && limit != duration::max()) {
    time.tv_sec = limit.count() / 1'000'000'000;
    time.tv_nsec = limit.count() % 1'000'000'000;
    arg.ts = reinterpret_cast<std::uintptr_t>(&time);
  }
  const long n =
      ::syscall(SYS_io_uring_enter, ring_.ring_fd, submit, wait_for, flags, &arg, sizeof arg);
  return n < 0 ? -errno : static_cast<int>(n);
}

void uring_reactor::submit_locked() noexcept {
  if (const unsigned n = publish_locked()) (void)enter(n, 0, duration::zero());
}

template <class Prepare>
void uring_reactor::queue(Prepare&& prepare) noexcept {
  queue_.lock();
  io_uring_sqe* e = ::io_uring_get_sqe(&ring_);
  while (!e) {  // full: room is made by submitting
    submit_locked();
    e = ::io_uring_get_sqe(&ring_);
  }
  prepare(e);
  queue_.unlock();
  if (!on_own_thread()) wake();
}

void uring_reactor::arm_bell() noexcept {
  queue([this](io_uring_sqe* e) {
    io_uring_prep_poll_multishot(e, bell_.get(), events::in);
    io_uring_sqe_set_data64(e, mark_of(operation::bell));
  });
}

void uring_reactor::cancel(std::uint64_t mark) noexcept {
  queue([mark](io_uring_sqe* e) {
    io_uring_prep_cancel64(e, mark, 0);
    io_uring_sqe_set_data64(e, mark_of(operation::ignored));
  });
}

unsigned uring_reactor::poll(duration limit) {
  if (!has_owner_.load(relaxed)) [[unlikely]] {
    owner_ = ::pthread_self();
    has_owner_.store(true, release);  // pairs with on_own_thread()
    arm_bell();
  }
  queue_.lock();
  const unsigned waiting = publish_locked();
  queue_.unlock();
  const bool ready = completions_ready() != 0;
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  if (!ready && limit > duration::zero())
    (void)enter(waiting, 1, limit);
  else if (waiting != 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0)
    (void)enter(waiting, 0, duration::zero());
  if (completions_ready() == 0 && starved_count_.load(relaxed) == 0) return 0;
  reap_.lock();
  const unsigned n = reap_locked();
  reap_.unlock();
  return n;
}

void uring_reactor::wake() noexcept {
  const std::uint64_t one = 1;
  const auto n = ::write(bell_.get(), &one, sizeof one);
  HEDDLE_ASSERT(n == static_cast<ssize_t>(sizeof one), "a write to an eventfd of our own failed");
}

unsigned uring_reactor::rescue() noexcept {
  if (!reap_.try_lock()) return 0;  // its owner, or another rescuer, is at it
  queue_.lock();
  submit_locked();
  queue_.unlock();
  (void)membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  const unsigned n = reap_locked();
  reap_.unlock();
  return n;
}

// Takes what is there now, and not what comes meanwhile: the loop has other things to do.
unsigned uring_reactor::reap_locked() {
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
      const auto kind = static_cast<operation>(copies[i].mark & ((1u << kind_bits) - 1));
      seen += kind != operation::ignored && kind != operation::bell;
      completed(copies[i]);
    }
    left -= n;
  }
  if (!starved_.empty()) feed_starved();
  return seen;
}

void uring_reactor::completed(const completion& c) {
  const auto kind = static_cast<operation>(c.mark & ((1u << kind_bits) - 1));
  if (kind == operation::ignored) return;
  if (kind == operation::bell) {
    if (!(c.flags & IORING_CQE_F_MORE) && c.result != -ECANCELED) arm_bell();
    return;
  }
  auto& s = io_source::at(static_cast<std::uint32_t>((c.mark & 0xffffffff) >> kind_bits));
  const auto generation = static_cast<std::uint32_t>(c.mark >> 32);
  switch (kind) {
    case operation::poll_each: polled(s, generation, c, false); break;
    case operation::poll_once: polled(s, generation, c, true); break;
    case operation::receive: received(s, generation, c); break;
    case operation::send: was_sent(s, c); break;
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

void uring_reactor::polled(io_source& s, std::uint32_t generation, const completion& c, bool once) {
  if (c.result > 0) s.ready(generation, static_cast<unsigned>(c.result));
  if (c.flags & IORING_CQE_F_MORE) return;
  if (!once && c.result != -ECANCELED) {  // the kernel has let go of it for want of room
    s.readable.lock();
    const bool again = s.generation() == generation && !s.kernel.retired;
    if (again) arm_poll(s, false);
    s.readable.unlock();
    if (c.result <= 0) s.ready(generation, events::in | events::out);
  }
  end_operation(s);
}

void uring_reactor::received(io_source& s, std::uint32_t generation, const completion& c) {
  lent_chunk* chunk = nullptr;
  if (c.flags & IORING_CQE_F_BUFFER) {
    const unsigned id = c.flags >> IORING_CQE_BUFFER_SHIFT;
    chunk = &buffers_->filled(id, c.result > 0 ? static_cast<std::uint32_t>(c.result) : 0);
    // What nobody reads must not keep buffers from a stream whose reader is what the others wait
    // for.
    if (chunk->size != 0 && buffers_->is_short()) {
      if (auto* copy = move_out(*chunk)) chunk = copy;
    }
  }
  const bool more = (c.flags & IORING_CQE_F_MORE) != 0;
  task_record* woken = nullptr;
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
    if (c.result == 0)
      k.end = 1;
    else if (c.result < 0 && !starves && c.result != -ECANCELED && c.result != -EINTR &&
             c.result != -EAGAIN)
      k.end = c.result;
    if (more && k.bytes > most_unread && !k.stopping) {
      k.stopping = true;
      cancel(c.mark);
    }
  }
  if (!more && !(starves && alive)) {
    k.receiving = k.stopping = false;
    last = s.operation_ended();
    operations_.fetch_sub(1, release);  // pairs with the destructor
  }
  if (alive && !starves) woken = s.told();
  source_owner* failed = alive && s.kernel.end < 0 ? s.owner : nullptr;
  if (failed) failed->hold();
  const int code = -s.kernel.end;
  s.readable.unlock();
  if (woken) schedule(*woken);
  if (failed) {
    failed->failed(code);
    failed->drop();
  }
  if (chunk) chunk->lender->give_back(*chunk);
  if (last) s.free_slot();
  if (starves && alive) {
    starved_.push_back({s.slot, generation});
    starved_count_.store(static_cast<unsigned>(starved_.size()), relaxed);
  }
}

// Streams whose receiving ended for want of buffers: they count as receiving, so nobody else starts
// it.
void uring_reactor::feed_starved() {
  if (!buffers_->any_or_tell()) return;
  std::vector<source_name> now;
  now.swap(starved_);
  starved_count_.store(0, relaxed);
  for (const auto n : now) {
    auto& s = io_source::at(n.slot);
    s.readable.lock();
    const bool alive = s.generation() == n.generation && !s.kernel.retired;
    bool last = false;
    s.kernel.receiving = s.kernel.stopping = false;
    if (alive) receive_more(s);
    last = s.operation_ended();
    s.readable.unlock();
    operations_.fetch_sub(1, release);  // pairs with the destructor
    if (last) s.free_slot();
  }
}

void uring_reactor::was_sent(io_source& s, const completion& c) {
  // The sender's role keeps the owner alive and the source from being retired.
  auto* owner = s.owner;
  HEDDLE_ASSERT(owner, "a stream was retired while the kernel was sending for it");
  end_operation(s);
  owner->sent(c.result);
}

// --- operations ---

// Under the source's read lock.
void uring_reactor::arm_poll(io_source& s, bool once) noexcept {
  ++s.kernel.operations;
  operations_.fetch_add(1, relaxed);
  s.kernel.watcher = this;
  const int descriptor = s.descriptor;
  const unsigned polled = s.kernel.polled;
  const auto name = s.name();
  queue([&](io_uring_sqe* e) {
    if (once)
      io_uring_prep_poll_add(e, descriptor, events::out);
    else
      io_uring_prep_poll_multishot(e, descriptor, polled);
    io_uring_sqe_set_data64(e, mark_of(name, once ? operation::poll_once : operation::poll_each));
  });
}

io_source& uring_reactor::watch(int descriptor, source_owner* owner, watched_for purpose) {
  auto& s = io_source::claim(descriptor, *this, owner);
  if (purpose != watched_for::streaming) {
    s.readable.lock();
    s.kernel.polled = purpose == watched_for::writing     ? events::out
                      : purpose == watched_for::both_ways ? events::in | events::out
                                                          : events::in;
    arm_poll(s, purpose == watched_for::connecting);
    s.readable.unlock();
  }
  return s;
}

// Under both locks of the source, which still has the generation that its operations are marked
// with.
reactor* uring_reactor::unwatch(io_source& s) noexcept {
  auto& k = s.kernel;
  if (k.operations == 0) return nullptr;
  if (k.watcher) {
    auto& w = static_cast<uring_reactor&>(*k.watcher);
    w.cancel(mark_of(s.name(), operation::poll_each));
    w.cancel(mark_of(s.name(), operation::poll_once));
  }
  return k.receiver ? k.receiver : k.watcher;
}

// Under the source's read lock.
void uring_reactor::receive_more(io_source& s) noexcept {
  auto& k = s.kernel;
  k.receiving = true;
  k.receiver = this;
  ++k.operations;
  operations_.fetch_add(1, relaxed);
  const int descriptor = s.descriptor;
  const auto mark = mark_of(s.name(), operation::receive);
  queue([&](io_uring_sqe* e) {
    io_uring_prep_recv_multishot(e, descriptor, nullptr, 0, 0);
    e->flags |= IOSQE_BUFFER_SELECT;
    e->buf_group = uring_buffers::group;
    io_uring_sqe_set_data64(e, mark);
  });
}

void uring_reactor::send(io_source& s, int descriptor, const char* data,
                         std::size_t size) noexcept {
  s.readable.lock();
  ++s.kernel.operations;
  s.readable.unlock();
  operations_.fetch_add(1, relaxed);
  const auto mark = mark_of(s.name(), operation::send);
  queue([&](io_uring_sqe* e) {
    io_uring_prep_send(e, descriptor, data, size, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(e, mark);
  });
}

void uring_reactor::settle_descriptor() noexcept {
  queue_.lock();
  submit_locked();
  queue_.unlock();
}

void probe_uring() {
  const uring_reactor trial;
  (void)trial;
}

}  // namespace heddle::detail
