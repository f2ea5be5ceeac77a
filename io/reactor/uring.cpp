// SPDX-License-Identifier: MIT
#include <heddle/io/reactor/uring.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>

#include <linux/membarrier.h>
#include <sys/epoll.h>
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

// Whether the kernel ends a receive after so many bytes: tried, and given up at the first refusal.
constinit atomic<bool> caps_refused{false};
constinit atomic<bool> caps_forbidden{false};

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

// liburing maps and unmaps by system calls of its own, which ThreadSanitizer does not see: that the
// memory of a ring that is gone was given to the next one is said here.
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

/// A poll of io_uring says "ready" for ever of a descriptor that cannot be polled, as a file. epoll
/// refuses it, and so is asked. Throws std::system_error.
void check_pollable(int descriptor) {
  const fd trial(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  epoll_event none{};
  check(::epoll_ctl(trial.get(), EPOLL_CTL_ADD, descriptor, &none), "epoll_ctl");
}

}  // namespace

void plant_fault_no_receive_cap(bool on) noexcept { caps_forbidden.store(on, relaxed); }

void refuse_caps() noexcept { caps_refused.store(true, relaxed); }

uring_reactor::uring_reactor()
    : subscribing_reactor(true), bell_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
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
// kernel may hold on to their memory: all of it is called off and awaited. No loop is there any
// more, so this thread submits, whichever it is.
uring_reactor::~uring_reactor() {
  ending_.store(true, release);  // pairs with the looks of uring_completions.cpp
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
    if (operations_.load(acquire) == 0) break;  // pairs with end_operation()
    (void)enter(0, 1, std::chrono::milliseconds(1));
  }
  buffers_->ring_gone(ring_);
  end_ring(ring_);
}

bool uring_reactor::on_own_thread() const noexcept {
  return has_owner_.load(acquire) &&
         ::pthread_equal(owner_, ::pthread_self());  // pairs with poll()
}

/// A thread that lives as long as this ring, so that it may submit.
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

// What the kernel does not take now stays published, and goes with the next call.
void uring_reactor::submit_locked() noexcept {
  if (const unsigned n = publish_locked()) (void)enter(n, 0, duration::zero());
}

/// Under queue_, on a loop: a free entry. nullptr: the queue is full and the kernel takes nothing.
io_uring_sqe* uring_reactor::entry_locked() noexcept {
  if (io_uring_sqe* e = ::io_uring_get_sqe(&ring_)) return e;
  submit_locked();
  return ::io_uring_get_sqe(&ring_);
}

// Under queue_. Of a source whose life is over, what names its descriptor becomes an operation that
// does nothing.
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

// Under queue_, on a loop.
bool uring_reactor::put(io_source& s, operation kind, std::uint32_t generation) noexcept {
  io_uring_sqe* e = entry_locked();
  if (!e) return false;
  operations_.fetch_add(1, relaxed);
  prepare(*e, s, kind, generation);
  return true;
}

// Under the source's read lock, which keeps this ring and the home. One more operation of the
// source: it ends with its completion.
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

// Protocol OWED.
void uring_reactor::owe(io_source& s, operation kind, std::uint32_t generation) noexcept {
  operations_.fetch_add(1, relaxed);
  auto& k = s.kernel;
  queue_.lock();
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

// Under queue_, on a loop.
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

// Protocol WITHDRAW. True: `kind`, under way in this ring, has not reached the kernel and will do
// nothing there.
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
      const unsigned head =
          __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE);  // pairs with the kernel's release
      return at - head < ring_.sq.sqe_tail - head &&
             ring_.sq.sqes[at & ring_.sq.ring_mask].user_data == mark;
    };
    backoff pause;
    for (int i = 0; waits() && owner_enters_.load(acquire); ++i) {  // pairs with poll()
      if (i < 100) {
        pause.pause();
      } else {  // its thread does not run: it may be that ours is in its way
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

// By whoever reaps its end, or by the owner at its first poll: loops.
void uring_reactor::arm_bell() noexcept {
  queue_.lock();
  bell_owed_ = true;
  submit_owed_locked();
  if (!on_own_thread()) submit_locked();  // the owner may be about to wait for it
  queue_.unlock();
}

unsigned uring_reactor::poll(duration limit) {
  if (!has_owner_.load(relaxed)) [[unlikely]] {
    owner_ = ::pthread_self();
    runtime_.store(this_thread().runtime, relaxed);
    has_owner_.store(true, release);  // pairs with on_own_thread()
    arm_bell();
  }
  queue_.lock();
  if (first_owed_ || bell_owed_) [[unlikely]] {
    submit_owed_locked();
    // What still found no room must not wait for an event.
    if (first_owed_ || bell_owed_) limit = std::min<duration>(limit, std::chrono::milliseconds(1));
  }
  const unsigned waiting = publish_locked();
  if (waiting != 0) owner_enters_.store(true, relaxed);
  queue_.unlock();
  const bool ready = completions_ready() != 0;
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  int took = 0;
  if (!ready && limit > duration::zero())
    took = enter(waiting, 1, limit);
  else if (waiting != 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0)
    took = enter(waiting, 0, duration::zero());
  if (waiting != 0) owner_enters_.store(false, release);  // pairs with withdraw()
  // The kernel has no memory or no room for entries now: it gets time, and completions are taken.
  if ((took == -EAGAIN || took == -EBUSY) && limit > duration::zero()) [[unlikely]]
    (void)enter(0, 1, std::min<duration>(limit, std::chrono::milliseconds(1)));
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
  if (!reap_.try_lock()) return 0;  // its owner, or another rescuer, is at it
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

// Under the source's read lock.
void uring_reactor::arm_poll(io_source& s, operation kind) noexcept {
  s.kernel.armed |= bit(kind);
  begin(s, kind, s.generation());
}

io_source& uring_reactor::watch(int descriptor, source_owner* owner, watched_for purpose) {
  if (purpose == watched_for::both_ways) check_pollable(descriptor);
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

// Under both locks of the source, which still has the generation that its operations are marked
// with. A receive that the kernel has ends when its stream cuts the socket off.
void uring_reactor::unwatch(io_source& s) noexcept {
  auto& k = s.kernel;
  if (k.operations == 0) return;
  if (k.receiver) (void)static_cast<uring_reactor*>(k.receiver)->withdraw(s, operation::receive);
  if (k.armed == 0) return;
  const auto kind = poll_of(k.armed);
  if (!withdraw(s, kind)) begin(s, cancel_of(kind), s.generation());
}

// Under the source's read lock. A poll that is cancelled although its watch goes on is armed again,
// and then looks at the descriptor: polled().
void uring_reactor::tell_again(io_source& s) noexcept {
  const auto armed = s.kernel.armed;
  if (armed != 0) begin(s, cancel_of(poll_of(armed)), s.generation());
}

// Under the source's read lock.
void uring_reactor::receive_more(io_source& s) noexcept {
  auto& k = s.kernel;
  k.receiving = true;
  k.receiver = this;
  k.capped = !caps_refused.load(relaxed) && !caps_forbidden.load(relaxed);
  begin(s, operation::receive, s.generation());
}

// Under the source's read lock.
void uring_reactor::send(io_source& s, int, const char* data, std::size_t size) noexcept {
  s.kernel.data = data;
  s.kernel.size = size;
  begin(s, operation::send, s.generation());
}

// With nothing told and nothing due, it costs two loads.
bool uring_reactor::collect() noexcept {
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  if (completions_ready() == 0 && (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) == 0)
    return true;
  if (!on_a_loop_of_ours()) return false;  // protocol OWED: reaping may submit
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
