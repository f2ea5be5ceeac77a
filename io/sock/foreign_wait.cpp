// SPDX-License-Identifier: MIT
#include <heddle/io/sock/foreign_wait.h>

#include <heddle/core/errors.h>
#include <heddle/io/descriptors/owned_numbers.h>
#include <heddle/io/reactor/edge_set.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include <string>

namespace heddle::detail {
namespace {

/// The calls of the process that wait, by the lowest bits of their number.
struct call_list {
  static constexpr unsigned rows = 256;
  spin_lock lock;
  foreign_call* first[rows] = {};
};

constinit call_list calls{};

foreign_call*& row_of(int number) noexcept {
  return calls.first[static_cast<unsigned>(number) % call_list::rows];
}

/// A forked child has only the thread that forked. A lock that another thread held would stay
/// locked in the child, so it is taken over the fork.
void care_for_forked_waits() {
  static const int once = ::pthread_atfork([] { calls.lock.lock(); }, [] { calls.lock.unlock(); },
                                           [] { calls.lock.unlock(); });
  (void)once;
}

std::string named_descriptor(int descriptor) { return "descriptor " + std::to_string(descriptor); }

}  // namespace

foreign_call::foreign_call(int descriptor) : number_(descriptor), home_(current_reactor()) {
  copy_ = fd(check(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC",
                   named_descriptor(descriptor)));
  source_ = &watch_edges(copy_.get());
  name_ = source_->name();
  // After the watch, whose table has a lock that is taken inside this one: a fork locks what was
  // named last first.
  care_for_forked_waits();
  calls.lock.lock();
  foreign_call*& row = row_of(number_);
  next_ = row;
  if (next_) next_->previous_ = this;
  row = this;
  calls.lock.unlock();
}

// The watch is taken back by number before the duplicate is closed: the open file may live on, and
// would keep its place in the set of epoll.
foreign_call::~foreign_call() {
  calls.lock.lock();
  const bool told = told_;
  if (!told) {
    (previous_ ? previous_->next_ : row_of(number_)) = next_;
    if (next_) next_->previous_ = previous_;
  }
  calls.lock.unlock();
  if (!told) source_->retire();
  home_.forget(copy_.get());
}

void foreign_call::check_open(const char* call) const {
  calls.lock.lock();
  const bool told = told_;
  calls.lock.unlock();
  if (told) throw_system_error(ECANCELED, call, named_descriptor(number_) + ": it was closed");
}

// Under the lock of the list no call can be destroyed. retire() takes the locks of the source
// inside it; nothing takes the lock of the list inside those.
void end_foreign_calls(int descriptor) noexcept {
  calls.lock.lock();
  for (foreign_call* c = row_of(descriptor); c;) {
    foreign_call& call = *c;
    c = c->next_;
    if (call.number_ != descriptor) continue;
    (call.previous_ ? call.previous_->next_ : row_of(descriptor)) = call.next_;
    if (call.next_) call.next_->previous_ = call.previous_;
    call.told_ = true;
    call.source_->retire();
  }
  calls.lock.unlock();
}

turns& foreign_senders() {
  static turns all;
  return all;
}

void check_foreign(int descriptor, const char* call, bool non_blocking) {
  if (is_owned_number(descriptor)) [[unlikely]]
    throw_usage(std::string(call) + ": " + named_descriptor(descriptor) +
                " belongs to a stream, a pipe or a datagram socket of this program");
  if (!non_blocking) return;
  const int flags = check(::fcntl(descriptor, F_GETFL), call, named_descriptor(descriptor));
  if ((flags & O_NONBLOCK) == 0) [[unlikely]]
    throw_usage(std::string(call) + ": " + named_descriptor(descriptor) +
                " is blocking: set O_NONBLOCK, or it would hold up its loop");
}

bool is_ready(int descriptor, direction way, const char* call) {
  const short wanted = way == direction::in ? POLLIN | POLLRDHUP : POLLOUT;
  pollfd now{descriptor, wanted, 0};
  int n = 0;
  do { n = ::poll(&now, 1, 0); } while (n < 0 && errno == EINTR);
  check(n, call, named_descriptor(descriptor));
  if (now.revents & POLLNVAL) throw_system_error(EBADF, call, named_descriptor(descriptor));
  return n > 0;
}

}  // namespace heddle::detail
