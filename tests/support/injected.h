// SPDX-License-Identifier: MIT
// System calls that fail when a test wants them to. An injected fault lives as long as its object:
//
//   support::injected refusal({.where = support::call::accept, .code = EMFILE, .times = 3});
//   ... the next three accept4() of this program fail with EMFILE ...
//   EQUAL(refusal.met(), 3);
//
// Problem   What a kernel answers once a year (EMFILE, ENOBUFS, ECONNABORTED, EINTR) must be
//           answered well, and cannot be had from the kernel when a test wants it.
// Rejected  A table of functions inside the library, which tests replace: each call would cost an
//           indirect jump in programs that never test. Hooks that are compiled in for tests alone:
//           the tested library would not be the shipped one. Symbols of the C library defined by
//           the test program (they would hide those of the sanitizers).
// Chosen    The linker. `--wrap=recv` sends the library's calls of recv to __wrap_recv in
//           injected.cpp, and from there to the recv that the program would have called, which a
//           sanitizer may have replaced. The library is the shipped one. For io_uring the calls of
//           liburing that set a ring up and take completions are wrapped.
// Costs     A load for each wrapped call while nothing is injected. Test programs alone.
#pragma once

#include <atomic>
#include <cstddef>

namespace support {

enum class call {
  accept,        // accept4
  connect,       // before the kernel sees it, so an interrupted connect() has not begun
  epoll_add,     // epoll_ctl with EPOLL_CTL_ADD
  epoll_create,  // epoll_create1
  eventfd,
  getaddrinfo,  // EAI_SYSTEM, with `code` as the errno
  open,
  pipe,  // pipe2
  read,
  recv,
  recvmsg,
  send,
  sendfile,
  sendmsg,
  socket,
  write,
  ring_setup,    // io_uring_queue_init_params; `most`: entries of the queue for submissions
  ring_receive,  // the completion of a receive. Its bytes are lost: for codes that end a stream.
  ring_send,     // the completion of a send. Its bytes may have gone: for codes that end a stream.
};

/// The files that a fault is for.
enum class file_class { any, sockets, pipes };

struct fault {
  call where;
  int code = 0;          // an errno; 0: the call is made, with at most `most` bytes
  std::size_t most = 0;  // send, sendmsg, write, sendfile: so many bytes of it are taken
  int after = 0;         // so many calls pass unharmed first
  int times = 1;         // so many calls then fail; -1: all
  file_class of = file_class::any;
};

class injected {
 public:
  explicit injected(const fault& what);
  injected(const injected&) = delete;
  ~injected();
  /// So many calls have met it.
  [[nodiscard]] int met() const noexcept;

 private:
  struct rule* const rule_;
};

namespace detail {

/// What a call is to do, if there is a fault for it. nullptr: nothing is injected.
[[nodiscard]] const fault* fault_for(call where, int descriptor) noexcept;
/// True: the call fails, and errno is set.
[[nodiscard]] bool fails(call where, int descriptor = -1) noexcept;

}  // namespace detail

}  // namespace support
