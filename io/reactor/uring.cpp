// SPDX-License-Identifier: MIT
// The submitting half of a ring, and its polls. The other half is uring_completions.cpp.
#include <heddle/io/reactor/uring.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>

#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace heddle::detail {
namespace {

constexpr unsigned entries = 1024;
constexpr unsigned completions = 8192;

// Protocol CAP: whether the kernel knows it is found by trying, and given up at the first refusal.
constinit atomic<bool> caps_refused{false};
constinit atomic<bool> caps_forbidden{false};

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

// liburing maps and unmaps memory by system calls of its own, which ThreadSanitizer does not see.
// When the memory of an ended ring is mapped for the next ring, it would report a race. This count
// shows it the order of the two.
constinit atomic<unsigned> rings_ended{0};

void end_ring(io_uring& ring) noexcept {
  // pairs with the load in make_ring(); before the memory can be mapped again
  rings_ended.fetch_add(1, release);
  ::io_uring_queue_exit(&ring);
}

void make_ring(io_uring& ring) {
  io_uring_params p{};
  p.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE |
            IORING_SETUP_CLAMP;
  p.cq_entries = completions;
  const int error = ::io_uring_queue_init_params(entries, &ring, &p);
  // pairs with the count in end_ring()
  (void)rings_ended.load(acquire);
  if (error < 0) throw_system_error(-error, "io_uring_setup");
}

}  // namespace

void plant_fault_no_receive_cap(bool on) noexcept { caps_forbidden.store(on, relaxed); }

void refuse_caps() noexcept { caps_refused.store(true, relaxed); }

uring_reactor::uring_reactor()
    : subscribing_reactor(true), bell_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  make_ring(ring_);
  try {
    buffers_ = uring_buffers::make(ring_, *this);
    // Needed once a process; more often does no harm.
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0)
      throw_system_error(errno, "membarrier");
  } catch (...) {
    if (buffers_) buffers_->ring_gone(ring_);
    end_ring(ring_);
    throw;
  }
}

// No task is left, but the kernel may still be sending for closed connections, from memory of
// theirs. All operations are cancelled and awaited, for at most a second. No loop is left either,
// so the destroying thread submits: protocol OWED does not bind it, since it waits for the ends.
uring_reactor::~uring_reactor() {
  // pairs with the looks in uring_completions.cpp
  ending_.store(true, release);
  end_subscriptions();
  io_source::orphan_all(*this);
  for (int i = 0; i < 1000; ++i) {
    queue_.lock();
    submit_owed_locked();
    if (io_uring_sqe* e = entry_locked()) {
      io_uring_prep_cancel64(e, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
      io_uring_sqe_set_data64(e, mark_of(operation::ignored));
    }
    submit_locked();
    queue_.unlock();
    reap_.lock();
    (void)reap_locked();
    reap_.unlock();
    // pairs with the count in end_operation()
    if (operations_.load(acquire) == 0) break;
    (void)enter(0, 1, std::chrono::milliseconds(1));
  }
  buffers_->ring_gone(ring_);
  end_ring(ring_);
}

bool uring_reactor::on_own_thread() const noexcept {
  // pairs with the store in poll()
  return has_owner_.load(acquire) && ::pthread_equal(owner_, ::pthread_self());
}

/// The calling thread lives as long as this ring, so it may submit: protocol OWED.
bool uring_reactor::on_a_loop_of_ours() const noexcept {
  if (on_own_thread()) return true;
  const auto& self = this_thread();
  return self.loop && self.runtime != 0 && self.runtime == runtime_.load(relaxed);
}

reactor& uring_reactor::nearest() noexcept {
  if (on_own_thread() || !on_a_loop_of_ours()) return *this;
  return current_reactor();
}

// --- the submission queue ---

// Makes the prepared entries visible to the kernel. Returns how many wait there to be taken.
unsigned uring_reactor::publish_locked() noexcept {
  auto& sq = ring_.sq;
  unsigned tail = __atomic_load_n(sq.ktail, __ATOMIC_RELAXED);  // written under queue_ only
  while (sq.sqe_head != sq.sqe_tail) {
    sq.array[tail & sq.ring_mask] = sq.sqe_head & sq.ring_mask;
    ++tail;
    ++sq.sqe_head;
  }
  // pairs with the kernel's acquire of the tail
  __atomic_store_n(sq.ktail, tail, __ATOMIC_RELEASE);
  // pairs with the kernel's release of the head
  return tail - __atomic_load_n(sq.khead, __ATOMIC_ACQUIRE);
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

// An entry that the kernel does not take now stays published, and goes with the next call.
void uring_reactor::submit_locked() noexcept {
  if (const unsigned n = publish_locked()) (void)enter(n, 0, duration::zero());
}

/// A free entry. nullptr: the queue is full, and the kernel takes nothing now.
io_uring_sqe* uring_reactor::entry_locked() noexcept {
  if (io_uring_sqe* e = ::io_uring_get_sqe(&ring_)) return e;
  submit_locked();
  return ::io_uring_get_sqe(&ring_);
}

// Fills the entry `e`, the last one taken. queue_ is held. Protocol WITHDRAW: an operation that
// names the descriptor of an ended life becomes one that does nothing.
void uring_reactor::prepare(io_uring_sqe& e, io_source& s, operation kind,
                            std::uint32_t generation) noexcept {
  auto& k = s.kernel;
  const unsigned at = ring_.sq.sqe_tail - 1;  // `e` was taken just now
  switch (kind) {
    case operation::poll_each:
    case operation::poll_once:
      k.poll_at = at;
      if (k.withdrawn)
        io_uring_prep_nop(&e);
      else if (kind == operation::poll_once)
        io_uring_prep_poll_add(&e, s.descriptor, events::out);
      else
        io_uring_prep_poll_multishot(&e, s.descriptor, k.polled);
      break;
    case operation::receive:
      k.receive_at = at;
      if (k.withdrawn) {
        io_uring_prep_nop(&e);
        break;
      }
      if (k.capped) {
        io_uring_prep_recv_multishot(&e, s.descriptor, nullptr, 0, 0);
        e.file_index = most_unread;  // `optlen` to newer kernels
      } else {
        io_uring_prep_recv(&e, s.descriptor, nullptr, 0, 0);
      }
      e.flags |= IOSQE_BUFFER_SELECT;
      e.buf_group = uring_buffers::group;
      break;
    case operation::send:
      io_uring_prep_send(&e, s.descriptor, k.data, std::min(k.size, most_sent_at_once),
                         MSG_NOSIGNAL);
      break;
    case operation::cancel_each:
      io_uring_prep_cancel64(&e, mark_of(operation::poll_each, s.slot, generation), 0);
      break;
    case operation::cancel_once:
      io_uring_prep_cancel64(&e, mark_of(operation::poll_once, s.slot, generation), 0);
      break;
    default: io_uring_prep_nop(&e); break;
  }
  io_uring_sqe_set_data64(&e, mark_of(kind, s.slot, generation));
}

// Queues one operation. False: there is no room. queue_ is held, on a loop.
bool uring_reactor::put(io_source& s, operation kind, std::uint32_t generation) noexcept {
  io_uring_sqe* e = entry_locked();
  if (!e) return false;
  operations_.fetch_add(1, relaxed);
  prepare(*e, s, kind, generation);
  return true;
}

// Begins one operation of the source, which ends with its completion: submitted from a loop of the
// runtime, owed from any other thread. The source's read lock is held: it keeps this ring and the
// source's home alive.
void uring_reactor::begin(io_source& s, operation kind, std::uint32_t generation) noexcept {
  ++s.kernel.operations;
  if (on_a_loop_of_ours()) {
    queue_.lock();
    const bool done = put(s, kind, generation);
    queue_.unlock();
    if (done) {
      if (!on_own_thread()) wake();
      return;
    }
  }
  auto* home = static_cast<uring_reactor*>(s.home.load(relaxed));
  if (kind == operation::receive) s.kernel.receiver = home ? home : this;
  (home ? home : this)->owe(s, kind, generation);
}

// Protocol OWED: leaves the operation to the owner of this ring.
// One bit stands for each kind. What is owed already is asked for once, so it is counted once.
void uring_reactor::owe(io_source& s, operation kind, std::uint32_t generation) noexcept {
  auto& k = s.kernel;
  queue_.lock();
  if (k.is_owed && (k.owed & bit(kind)) != 0) {
    --k.operations;  // begin() has counted it
    queue_.unlock();
    return;
  }
  operations_.fetch_add(1, relaxed);
  k.owed |= bit(kind);
  k.owed_generation = generation;
  if (!k.is_owed) {
    k.is_owed = true;
    k.next_owed = nullptr;
    (last_owed_ ? last_owed_->kernel.next_owed : first_owed_) = &s;
    last_owed_ = &s;
  }
  queue_.unlock();
  if (!on_own_thread()) wake();
}

// Queues what is owed, as far as there is room.
void uring_reactor::submit_owed_locked() noexcept {
  if (bell_owed_) [[unlikely]] {
    if (io_uring_sqe* e = entry_locked()) {
      io_uring_prep_poll_multishot(e, bell_.get(), events::in);
      io_uring_sqe_set_data64(e, mark_of(operation::bell));
      bell_owed_ = false;
    }
  }
  while (io_source* s = first_owed_) {
    auto& k = s->kernel;
    while (k.owed != 0) {
      io_uring_sqe* e = entry_locked();
      if (!e) return;
      const auto kind = static_cast<operation>(__builtin_ctz(k.owed));
      k.owed &= static_cast<std::uint8_t>(~bit(kind));
      prepare(*e, *s, kind, k.owed_generation);
    }
    k.is_owed = false;
    first_owed_ = k.next_owed;
    if (!first_owed_) last_owed_ = nullptr;
  }
}

// Protocol WITHDRAW. True: the operation `kind` had not reached the kernel, and will do nothing
// there. False: the kernel has it. Its completion comes in both cases.
bool uring_reactor::withdraw(io_source& s, operation kind) noexcept {
  auto& k = s.kernel;
  const auto mark = mark_of(kind, s.slot, s.generation());
  bool withdrawn = false;
  queue_.lock();
  if (s.home.load(relaxed) == this && (k.owed & bit(kind)) != 0) {
    withdrawn = k.withdrawn = true;
  } else {
    const std::uint32_t at = kind == operation::receive ? k.receive_at : k.poll_at;
    const auto waits = [&] {
      // pairs with the kernel's release of the head
      const unsigned head = __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE);
      return at - head < ring_.sq.sqe_tail - head &&
             ring_.sq.sqes[at & ring_.sq.ring_mask].user_data == mark;
    };
    backoff pause;
    // The load of owner_enters_ pairs with its store after enter() in poll().
    for (int i = 0; waits() && owner_enters_.load(acquire); ++i) {
      if (i < 100) {
        pause.pause();
      } else {  // the owner's thread does not run: perhaps this one is in its way
        const timespec moment{0, 20'000};
        (void)::nanosleep(&moment, nullptr);
      }
    }
    if (waits()) {
      io_uring_sqe* e = &ring_.sq.sqes[at & ring_.sq.ring_mask];
      io_uring_prep_nop(e);
      io_uring_sqe_set_data64(e, mark);
      withdrawn = true;
    }
  }
  queue_.unlock();
  return withdrawn;
}

// --- the loop's side ---

// Polls the bell. Called by the owner at its first poll, and by the loop that reaps the poll's end.
void uring_reactor::arm_bell() noexcept {
  queue_.lock();
  bell_owed_ = true;
  submit_owed_locked();
  if (!on_own_thread()) submit_locked();  // the owner may be about to wait, and must hear the bell
  queue_.unlock();
}

unsigned uring_reactor::poll(duration limit) {
  if (!has_owner_.load(relaxed)) [[unlikely]] {
    owner_ = ::pthread_self();
    runtime_.store(this_thread().runtime, relaxed);
    // pairs with the load in on_own_thread()
    has_owner_.store(true, release);
    arm_bell();
  }
  queue_.lock();
  if (first_owed_ || bell_owed_) [[unlikely]] {
    submit_owed_locked();
    // An operation that found no room must not wait for an event: no event may come before it.
    if (first_owed_ || bell_owed_) limit = std::min<duration>(limit, std::chrono::milliseconds(1));
  }
  const unsigned waiting = publish_locked();
  if (waiting != 0) owner_enters_.store(true, relaxed);
  queue_.unlock();
  const bool may_wait = limit > duration::zero();
  if (may_wait) {
    // Protocol BELL: the store and the load pair with the load and the store in bell_rang().
    owner_waits_.store(true, seq_cst);
    if (bell_taken_.load(seq_cst)) [[unlikely]] {
      bell_taken_.store(false, relaxed);
      limit = duration::zero();
    }
  }
  const bool ready = completions_ready() != 0;
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  int took = 0;
  if (!ready && limit > duration::zero())
    took = enter(waiting, 1, limit);
  else if (waiting != 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0)
    took = enter(waiting, 0, duration::zero());
  // pairs with the load in withdraw()
  if (waiting != 0) owner_enters_.store(false, release);
  // The kernel has no memory or no room for entries. It gets a moment, and completions are taken.
  if ((took == -EAGAIN || took == -EBUSY) && limit > duration::zero()) [[unlikely]]
    (void)enter(0, 1, std::min<duration>(limit, std::chrono::milliseconds(1)));
  if (may_wait) owner_waits_.store(false, relaxed);
  if (completions_ready() == 0 && !anybody_starves_.load(relaxed)) return 0;
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
  if (!reap_.try_lock()) return 0;  // the owner reaps, or another rescuer does
  queue_.lock();
  submit_owed_locked();
  submit_locked();
  queue_.unlock();
  (void)membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  const unsigned n = reap_locked();
  reap_.unlock();
  return n;
}

// --- operations ---

// The source's read lock is held.
void uring_reactor::arm_poll(io_source& s, operation kind) noexcept {
  s.kernel.armed |= bit(kind);
  begin(s, kind, s.generation());
}

io_source& uring_reactor::watch(int descriptor, source_owner* owner, watched_for purpose) {
  auto& s = io_source::claim(descriptor, *this, owner);
  if (purpose != watched_for::streaming) {
    s.readable.lock();
    s.kernel.polled = purpose == watched_for::writing     ? events::out
                      : purpose == watched_for::both_ways ? events::in | events::out
                                                          : events::in;
    arm_poll(s, purpose == watched_for::connecting ? operation::poll_once : operation::poll_each);
    s.readable.unlock();
  }
  return s;
}

// Both locks of the source are held, and the generation is still the one in the marks of its
// operations. A receive that the kernel has is left to it: it ends when the stream shuts its socket
// down before it closes it.
void uring_reactor::unwatch(io_source& s) noexcept {
  auto& k = s.kernel;
  if (k.operations == 0) return;
  if (k.receiver) (void)static_cast<uring_reactor*>(k.receiver)->withdraw(s, operation::receive);
  if (k.armed == 0) return;
  const auto kind = poll_of(k.armed);
  if (!withdraw(s, kind)) begin(s, cancel_of(kind), s.generation());
}

// The source's read lock is held. A poll that is cancelled while its watch goes on is armed again
// by polled(). The kernel then looks at the descriptor, and tells the edge if it is ready.
void uring_reactor::repeat_edge(io_source& s) noexcept {
  const auto armed = s.kernel.armed;
  if (armed != 0) begin(s, cancel_of(poll_of(armed)), s.generation());
}

// The source's read lock is held.
void uring_reactor::receive_more(io_source& s) noexcept {
  auto& k = s.kernel;
  k.receiving = true;
  k.receiver = this;
  k.pieces = 0;
  k.capped = k.lasting_receive && k.bulk == 0 && !caps_refused.load(relaxed) &&
             !caps_forbidden.load(relaxed);
  begin(s, operation::receive, s.generation());
}

// The source's read lock is held.
void uring_reactor::send(io_source& s, int, const char* data, std::size_t size) noexcept {
  s.kernel.data = data;
  s.kernel.size = size;
  begin(s, operation::send, s.generation());
}

// The source's read lock is held. A poll that is armed already has not told yet, or is just
// telling: polled() looks at wants_write once more when that poll has ended.
void uring_reactor::tell_of_room(io_source& s) noexcept {
  if (s.kernel.armed == 0) arm_poll(s, operation::poll_once);
}

// Costs two loads when the kernel has told nothing and owes nothing.
bool uring_reactor::collect() noexcept {
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  if (completions_ready() == 0 && (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) == 0)
    return true;
  if (!on_a_loop_of_ours()) return false;  // protocol OWED: a reaper may have to submit
  if (!reap_.try_lock()) return false;
  (void)membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);  // as rescue() does
  (void)reap_locked();
  reap_.unlock();
  return true;
}

void probe_uring() {
  const uring_reactor trial;
  (void)trial;
}

}  // namespace heddle::detail
