// SPDX-License-Identifier: MIT
#include <heddle/io/reactor/epoll.h>

#include <heddle/core/base/assert.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ctime>

namespace heddle::detail {
namespace {

static_assert(events::in == EPOLLIN && events::out == EPOLLOUT && events::error == EPOLLERR &&
              events::hang_up == EPOLLHUP && events::peer_hang_up == EPOLLRDHUP &&
              events::edge == static_cast<unsigned>(EPOLLET));

constexpr std::uint64_t bell_mark = ~std::uint64_t{0};

std::uint64_t pack(source_name n) noexcept {
  return (static_cast<std::uint64_t>(n.generation) << 32) | n.slot;
}

epoll_event registration_of(const io_source& s) noexcept {
  epoll_event e{};
  e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  e.data.u64 = pack(s.name());
  return e;
}

/// A read ends at the place of an urgent byte of TCP, although bytes stand behind it, and no edge
/// tells of those. A hang-up says that a short read does not mean an empty socket. So an urgent
/// byte is told with a hang-up of the peer's, which says no more than that.
unsigned told_of(unsigned what) noexcept {
  return (what & EPOLLPRI) != 0 ? what | events::in | events::peer_hang_up : what;
}

/// epoll_wait with a limit in nanoseconds. A kernel before 5.11 knows milliseconds only: there the
/// limit is rounded up. Rounded down, a loop with a timer in less than a millisecond would spin.
int wait_for_events(int set, epoll_event* list, int room, duration limit) noexcept {
  static atomic<bool> fine{true};
  if (limit <= duration::zero()) return ::epoll_wait(set, list, room, 0);
  if (limit == duration::max()) return ::epoll_wait(set, list, room, -1);
  const auto ns = limit.count();
  if (fine.load(relaxed)) {
    const timespec t{static_cast<time_t>(ns / 1'000'000'000),
                     static_cast<long>(ns % 1'000'000'000)};
    const int n = ::epoll_pwait2(set, list, room, &t, nullptr);
    if (n >= 0 || errno != ENOSYS) return n;
    fine.store(false, relaxed);
  }
  const auto ms = std::min<std::int64_t>((ns + 999'999) / 1'000'000, 1'000'000'000);
  return ::epoll_wait(set, list, room, static_cast<int>(ms));
}

}  // namespace

epoll_reactor::epoll_reactor()
    : subscribing_reactor(false),
      set_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      bell_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;
  e.data.u64 = bell_mark;
  check(::epoll_ctl(set_.get(), EPOLL_CTL_ADD, bell_.get(), &e), "epoll_ctl");
}

epoll_reactor::~epoll_reactor() {
  end_subscriptions();
  io_source::orphan_all(*this);
}

unsigned epoll_reactor::poll(duration limit) {
  epoll_event list[batch];
  const int n = wait_for_events(set_.get(), list, batch, limit);
  if (n <= 0) {
    HEDDLE_ASSERT(n == 0 || errno == EINTR, "epoll_wait failed on a set of our own");
    return 0;
  }
  return dispatch(list, n);
}

unsigned epoll_reactor::rescue() noexcept {
  epoll_event list[batch];
  const int n = ::epoll_wait(set_.get(), list, batch, 0);
  if (n <= 0) return 0;
  // The bell rang for the owner, but this rescuer has taken the edge. The owner is outside of its
  // poll now, or will look again. Still the thread that rang relies on the next waiting poll to
  // return at once. So the bell is rung again.
  for (int i = 0; i < n; ++i)
    if (list[i].data.u64 == bell_mark) wake();
  return dispatch(list, n);
}

unsigned epoll_reactor::dispatch(const void* events_list, int count) noexcept {
  const auto* list = static_cast<const epoll_event*>(events_list);
  unsigned seen = 0;
  for (int i = 0; i < count; ++i) {
    const auto mark = list[i].data.u64;
    if (mark == bell_mark) continue;
    ++seen;
    io_source::at(static_cast<std::uint32_t>(mark))
        .ready(static_cast<std::uint32_t>(mark >> 32), told_of(list[i].events));
  }
  return seen;
}

void epoll_reactor::wake() noexcept {
  // The count is never read, so the write would block after 2^64 - 2 rings: never.
  const std::uint64_t one = 1;
  const auto n = ::write(bell_.get(), &one, sizeof one);
  HEDDLE_ASSERT(n == static_cast<ssize_t>(sizeof one), "a write to an eventfd of our own failed");
}

io_source& epoll_reactor::watch(int descriptor, source_owner* owner, watched_for) {
  auto& s = io_source::claim(descriptor, *this, owner);
  epoll_event e = registration_of(s);
  if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, descriptor, &e) != 0) {
    const int error = errno;
    s.retire();
    throw_system_error(error, "epoll_ctl");
  }
  return s;
}

// EPOLL_CTL_MOD makes the kernel look at the descriptor, also when the registration stays the same.
// If the descriptor is ready, that is a new edge.
void epoll_reactor::repeat_edge(io_source& source) noexcept {
  epoll_event e = registration_of(source);
  (void)::epoll_ctl(set_.get(), EPOLL_CTL_MOD, source.descriptor, &e);
}

void epoll_reactor::forget(int descriptor) noexcept {
  // An error means that the descriptor was closed before, and so has left the set already.
  (void)::epoll_ctl(set_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

}  // namespace heddle::detail
