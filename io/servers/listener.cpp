// SPDX-License-Identifier: MIT
#include <heddle/io/servers/listener.h>

#include <heddle/io/reactor/reactor.h>

#include <linux/filter.h>
#include <sys/socket.h>

#include <iterator>

namespace heddle::detail {

void listener::start(int backlog, const address& where) {
  if (!shared() || !is_listening(socket_.get()))
    check(::listen(socket_.get(), backlog), "listen", where.to_string());
  auto& home = static_cast<reactor&>(driver_of(loop_));
  source_ = &home.watch(socket_.get(), nullptr, watched_for::reading);
  name_ = source_->name();
  // start() stores watched_, then looks at stopped_; stop() does the reverse. All four are seq_cst,
  // so one of the two sees the other, and ends the watch. Pairs with stop().
  watched_.store(source_, seq_cst);
  if (stopped_.load(seq_cst)) end_watch();
}

bool is_listening(int socket) noexcept {
  int listens = 0;
  socklen_t size = sizeof listens;
  return ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

void listener::refuse_new() noexcept {
  if (shared()) return;
  // pairs with the load in refuses(): the accepting task finds the socket shut only after it
  refuses_.store(true, release);
  int family = 0;
  socklen_t size = sizeof family;
  (void)::getsockopt(socket_.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
  if (family == AF_UNIX) {
    ::shutdown(socket_.get(), SHUT_RDWR);  // what was queued before may still be accepted
    return;
  }
  // Byte 13 of a TCP header has the flags. Dropped is a packet with SYN and without ACK.
  sock_filter drop_first_packets[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),          BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  };
  const sock_fprog program{std::size(drop_first_packets), drop_first_packets};
  // Refused, new guests come until stop(), and those of the last moment are reset.
  (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void listener::shut_down() noexcept {
  if (!shared()) ::shutdown(socket_.get(), SHUT_RDWR);
}

void listener::stop() noexcept {
  // pairs with the loads in stopped() and start()
  if (stopped_.exchange(true, seq_cst)) return;
  // From here on accept() refuses, also on a thread that is inside it. On a shared socket such a
  // thread may take in one more guest.
  shut_down();
  end_watch();
}

void listener::end_watch() noexcept {
  // pairs with the store in start(); an exchange, so that one of the two callers gets it
  io_source* watched = watched_.exchange(nullptr, seq_cst);
  if (!watched) return;
  shut_down();  // start() may have called listen() after stop() shut it
  if (shared()) {
    // The open socket lives on, so a set of epoll would go on to watch it after the close. A
    // reactor that ends clears `home` under this lock first.
    watched->readable.lock();
    if (auto* home = watched->home.load(relaxed))
      static_cast<reactor*>(home)->forget(socket_.get());
    watched->readable.unlock();
  }
  watched->retire();
}

}  // namespace heddle::detail
