// SPDX-License-Identifier: MIT
#include "support/injected.h"

#include <fcntl.h>
#include <liburing.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <mutex>

namespace support {

/// Faults are never freed while the program runs: a call on another thread may still look at one
/// whose test is over. What a fault says is constant, so such a call does what its test asked for.
struct rule {
  explicit rule(const fault& f) : what(f), skip(f.after), left(f.times) {}
  const fault what;
  std::atomic<int> skip;
  std::atomic<int> left;
  std::atomic<int> met{0};
  std::atomic<bool> live{true};
  rule* older = nullptr;
};

namespace {

std::mutex lock;
std::atomic<rule*> newest{nullptr};  // null while nothing is injected; written under lock
int lives = 0;                       // under lock

std::list<rule>& all_rules() {
  static std::list<rule> all;
  return all;
}

/// Takes one from a count. False: it was zero.
bool take_one(std::atomic<int>& count) noexcept {
  for (int n = count.load(); n != 0;) {
    if (n < 0) return true;
    if (count.compare_exchange_weak(n, n - 1)) return true;
  }
  return false;
}

bool is_of(file_class wanted, int descriptor) noexcept {
  if (wanted == file_class::any) return true;
  struct stat s{};
  if (descriptor < 0 || ::fstat(descriptor, &s) != 0) return false;
  return wanted == file_class::sockets ? S_ISSOCK(s.st_mode) : S_ISFIFO(s.st_mode);
}

}  // namespace

injected::injected(const fault& what)
    : rule_([&] {
        const std::lock_guard hold(lock);
        rule& made = all_rules().emplace_back(what);
        made.older = newest.load();
        newest = &made;
        ++lives;
        return &made;
      }()) {}

injected::~injected() {
  const std::lock_guard hold(lock);
  rule_->live = false;
  if (--lives == 0) newest = nullptr;
}

int injected::met() const noexcept { return rule_->met; }

namespace detail {

const fault* fault_for(call where, int descriptor) noexcept {
  for (rule* r = newest.load(); r; r = r->older) {
    if (!r->live.load() || r->what.where != where || !is_of(r->what.of, descriptor)) continue;
    if (take_one(r->skip) || !take_one(r->left)) continue;
    ++r->met;
    return &r->what;
  }
  return nullptr;
}

bool fails(call where, int descriptor) noexcept {
  const fault* f = fault_for(where, descriptor);
  if (!f || f->code == 0) return false;
  errno = f->code;
  return true;
}

namespace {

/// How much of `n` bytes a call is to be made with; 0: it fails, and errno is set.
std::size_t share_of(std::size_t n, call where, int descriptor) noexcept {
  const fault* f = fault_for(where, descriptor);
  if (!f) return n;
  if (f->code == 0) return std::min(n, f->most);
  errno = f->code;
  return 0;
}

}  // namespace
}  // namespace detail
}  // namespace support

using support::call;
using support::detail::fails;
using support::detail::share_of;

extern "C" {

int __real_accept4(int, sockaddr*, socklen_t*, int);
int __real_connect(int, const sockaddr*, socklen_t);
int __real_epoll_ctl(int, int, int, epoll_event*);
int __real_epoll_create1(int);
int __real_eventfd(unsigned, int);
int __real_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);
int __real_pipe2(int*, int);
ssize_t __real_read(int, void*, size_t);
ssize_t __real_recv(int, void*, size_t, int);
ssize_t __real_recvmsg(int, msghdr*, int);
ssize_t __real_send(int, const void*, size_t, int);
ssize_t __real_sendmsg(int, const msghdr*, int);
int __real_socket(int, int, int);
ssize_t __real_write(int, const void*, size_t);
int __real_io_uring_queue_init_params(unsigned, io_uring*, io_uring_params*);
unsigned __real_io_uring_peek_batch_cqe(io_uring*, io_uring_cqe**, unsigned);

int __wrap_accept4(int s, sockaddr* peer, socklen_t* length, int flags) {
  return fails(call::accept, s) ? -1 : __real_accept4(s, peer, length, flags);
}
int __wrap_connect(int s, const sockaddr* to, socklen_t length) {
  return fails(call::connect, s) ? -1 : __real_connect(s, to, length);
}
int __wrap_epoll_ctl(int set, int what, int descriptor, epoll_event* e) {
  if (what == EPOLL_CTL_ADD && fails(call::epoll_add, descriptor)) return -1;
  return __real_epoll_ctl(set, what, descriptor, e);
}
int __wrap_epoll_create1(int flags) {
  return fails(call::epoll_create) ? -1 : __real_epoll_create1(flags);
}
int __wrap_eventfd(unsigned value, int flags) {
  return fails(call::eventfd) ? -1 : __real_eventfd(value, flags);
}
int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                       addrinfo** found) {
  if (fails(call::getaddrinfo)) return EAI_SYSTEM;
  return __real_getaddrinfo(host, service, hints, found);
}
int __wrap_pipe2(int* both, int flags) {
  return fails(call::pipe) ? -1 : __real_pipe2(both, flags);
}
ssize_t __wrap_read(int f, void* to, size_t n) {
  return fails(call::read, f) ? -1 : __real_read(f, to, n);
}
ssize_t __wrap_recv(int s, void* to, size_t n, int flags) {
  return fails(call::recv, s) ? -1 : __real_recv(s, to, n, flags);
}
ssize_t __wrap_recvmsg(int s, msghdr* m, int flags) {
  return fails(call::recvmsg, s) ? -1 : __real_recvmsg(s, m, flags);
}
ssize_t __wrap_send(int s, const void* from, size_t n, int flags) {
  const size_t share = n == 0 ? 0 : share_of(n, call::send, s);
  return share == 0 && n != 0 ? -1 : __real_send(s, from, share, flags);
}
ssize_t __wrap_sendmsg(int s, const msghdr* m, int flags) {
  return fails(call::sendmsg, s) ? -1 : __real_sendmsg(s, m, flags);
}
int __wrap_socket(int family, int type, int protocol) {
  return fails(call::socket) ? -1 : __real_socket(family, type, protocol);
}
// Signal handlers call it, too: nothing here takes a lock.
ssize_t __wrap_write(int f, const void* from, size_t n) {
  const size_t share = n == 0 ? 0 : share_of(n, call::write, f);
  return share == 0 && n != 0 ? -1 : __real_write(f, from, share);
}

// A smaller queue makes the kernel say "full" and "overflow" where it never would.
int __wrap_io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* p) {
  const support::fault* f = support::detail::fault_for(call::ring_setup, -1);
  if (f && f->code != 0) return -f->code;
  if (f) {
    entries = static_cast<unsigned>(f->most);
    p->cq_entries = 2 * entries;
  }
  return __real_io_uring_queue_init_params(entries, ring, p);
}

// The lowest four bits of a mark are the kind of the operation: reactor/uring.h. A lasting receive
// goes on after its completion was changed, so its completions are left as they are: a test turns
// lasting receives off by plant_fault_no_receive_cap().
unsigned __wrap_io_uring_peek_batch_cqe(io_uring* ring, io_uring_cqe** list, unsigned most) {
  constexpr unsigned kind_bits = 15, receive = 4, send = 5;
  const unsigned n = __real_io_uring_peek_batch_cqe(ring, list, most);
  for (unsigned i = 0; i < n; ++i) {
    io_uring_cqe& c = *list[i];
    const auto kind = c.user_data & kind_bits;
    if ((kind != receive && kind != send) || c.res <= 0 || (c.flags & IORING_CQE_F_MORE)) continue;
    const auto where = kind == send ? call::ring_send : call::ring_receive;
    const support::fault* f = support::detail::fault_for(where, -1);
    if (f && f->code != 0) c.res = -f->code;
  }
  return n;
}

}  // extern "C"
