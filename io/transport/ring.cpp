// SPDX-License-Identifier: MIT
#include <heddle/io/transport/ring.h>

#include <heddle/io/transport/readiness.h>
#include <heddle/io/transport/socket.h>

#include <sys/socket.h>

#include <cerrno>
#include <new>

namespace heddle::detail {
namespace {

/// Ends both directions. A close alone does not: operations in the kernel keep the socket open.
void end_both_ways(int socket, bool reset) noexcept {
  if (reset) {  // a connect to no address: TCP resets the peer, other families refuse
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    if (::connect(socket, &none, sizeof none) == 0) return;
  }
  ::shutdown(socket, SHUT_RDWR);
}

}  // namespace

/// The nearest ring of the runtime that the stream was opened in; nullptr when that runtime is
/// gone. The source's read lock is held, and keeps the ring alive.
reactor* ring_transport::mover_locked() const noexcept {
  auto* home = static_cast<reactor*>(source_->home.load(relaxed));
  return home ? &home->nearest() : nullptr;
}

// The source's read lock is held.
void ring_transport::receive_more_locked() noexcept {
  auto& k = source_->kernel;
  if (k.receiving || k.end != 0 || k.bytes >= limit_) return;
  k.lasting_receive = tcp_;
  if (auto* r = mover_locked()) r->receive_more(*source_);
}

// Takes the oldest buffer that the kernel has filled. If no receive is under way it begins one, or
// in bulk receives itself what stands behind that buffer.
received ring_transport::receive(input_buffer& into) {
  if (is_drained_ && source_->edges() == drained_at_) return {got::nothing, 0};
  lent_chunk* chunk = nullptr;
  int end = 0;
  bool more = false;
  bool in_bulk = false;
  source_->readable.lock();
  auto& k = source_->kernel;
  if (source_->generation() == name_.generation) {
    k.reader_comes = false;
    chunk = k.first;
    if (chunk) {
      k.first = chunk->next;
      if (!k.first) k.last = nullptr;
      k.bytes -= chunk->size;
    } else {
      end = k.end;
    }
    in_bulk = k.bulk != 0 && !k.receiving && k.end == 0 && !k.first;
    more = k.first != nullptr || in_bulk;
    drained_at_ = source_->edges();
    is_drained_ = !more && k.end == 0;
    if (in_bulk)
      k.receiving = true;  // by this thread
    else
      receive_more_locked();
  }
  source_->readable.unlock();
  if (chunk) {
    const std::size_t n = chunk->size;  // adopt() may give the chunk back
    try {
      into.adopt(*chunk);
    } catch (...) {
      put_back(*chunk, in_bulk);
      throw;
    }
    passed().in.count(n);
    if (in_bulk) more = receive_in_bulk(into).more;
    return {got::data, 0, more};
  }
  if (in_bulk) {
    const received r = receive_in_bulk(into);
    if (r.what == got::nothing && r.more) throw std::bad_alloc();
    return r;
  }
  if (end == 0) return {got::nothing, 0};
  return end > 0 ? received{got::end, 0} : received{got::broken, -end};
}

// Protocol BULK: one call of recv(). If it fills its room, the next look calls again. If not, a
// receive waits for what comes. It also finds the end, if recv() did. Nothing, and more: there was
// no memory.
received ring_transport::receive_in_bulk(input_buffer& into) {
  ssize_t n = -1;
  int code = ENOMEM;
  std::size_t room = 0;
  try {
    into.make_room();
    room = into.room();
  } catch (const std::bad_alloc&) {}
  if (room != 0) {
    do n = ::recv(descriptor(), into.tail(), room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    code = n < 0 ? errno : 0;
    if (n > 0) {
      into.added(static_cast<std::size_t>(n));
      passed().in.count(static_cast<std::size_t>(n));
    } else if (into.empty()) {
      into.clear();
    }
  }
  const bool more = room == 0 || (n > 0 && static_cast<std::size_t>(n) == room);
  const bool broken = n < 0 && room != 0 && code != EAGAIN && code != EWOULDBLOCK;
  source_->readable.lock();
  if (source_->generation() == name_.generation) {
    auto& k = source_->kernel;
    k.receiving = false;
    if (room != 0) k.bulk = n > 0 ? kernel_side::bulk_looks : k.bulk - 1;
    if (broken) k.end = -code;
    drained_at_ = source_->edges();
    is_drained_ = !more && !broken;
    if (!more) receive_more_locked();
  }
  source_->readable.unlock();
  if (broken) return {got::broken, code};
  return {n > 0 ? got::data : got::nothing, 0, more};
}

// There was no memory to take the bytes over. They go back in front: the next receive() finds them.
// `claimed`: this thread was to receive behind them.
void ring_transport::put_back(lent_chunk& chunk, bool claimed) noexcept {
  source_->readable.lock();
  const bool alive = source_->generation() == name_.generation;
  if (alive) {
    auto& k = source_->kernel;
    if (claimed) k.receiving = false;
    chunk.next = k.first;
    k.first = &chunk;
    if (!k.last) k.last = &chunk;
    k.bytes += chunk.size;
  }
  source_->readable.unlock();
  is_drained_ = false;
  if (!alive) chunk.lender->give_back(chunk);
}

// One system call, which answers as write() does. Nobody is told of room.
template <class Call>
ssize_t ring_transport::send_by_call(Call call) noexcept {
  for (;;) {
    const ssize_t n = call();
    if (n >= 0) {
      passed().out.count(static_cast<std::size_t>(n));
      return n;
    }
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

ssize_t ring_transport::send_pieces(std::span<const std::string_view> pieces) noexcept {
  iovec parts[most_pieces];
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = io_vector_of(pieces, parts);
  return send_by_call(
      [&] { return ::sendmsg(descriptor(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
}

ssize_t ring_transport::send(std::string_view piece) noexcept {
  return send_by_call([&] {
    return ::send(descriptor(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  });
}

bool ring_transport::give(std::string_view piece) noexcept {
  source_->readable.lock();
  auto* r = mover_locked();
  if (r) r->send(*source_, descriptor(), piece.data(), piece.size());
  source_->readable.unlock();
  return r != nullptr;
}

// The kernel has no operation that sends a file to a socket. So the call is made here, and a full
// socket is polled once for room.
ssize_t ring_transport::send_file(int file, std::uint64_t at, std::size_t most) noexcept {
  for (;;) {
    const auto n = send_file_to(descriptor(), file, at, most);
    if (n >= 0) {
      passed().out.count(static_cast<std::size_t>(n));
      return n;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return -errno;
    // pairs with the loads in io_source::ready() and in uring_reactor::polled()
    source_->wants_write.store(true, seq_cst);
    source_->readable.lock();
    auto* r = mover_locked();
    if (r) r->tell_of_room(*source_);
    source_->readable.unlock();
    return r ? -EAGAIN : -ECANCELED;
  }
}

bool ring_transport::end_output() noexcept {
  ::shutdown(descriptor(), SHUT_WR);
  return true;
}

void ring_transport::cut_off() noexcept { end_both_ways(descriptor(), true); }

// A receive is what notices a reset by the peer. So one is begun although no task reads.
void ring_transport::listen() noexcept {
  source_->readable.lock();
  if (source_->generation() == name_.generation) receive_more_locked();
  source_->readable.unlock();
}

// Bytes go from the socket to a completion that no loop has seen yet, and from there to the list in
// the source. The look takes the same way in the same order, so no byte can pass it unseen.
bool ring_transport::is_quiet() noexcept {
  if (!socket_is_quiet(descriptor())) return false;
  source_->readable.lock();
  auto* receiver = static_cast<reactor*>(
      source_->generation() == name_.generation ? source_->kernel.receiver : nullptr);
  // A loop of the same runtime keeps the receiver alive. For any other thread the receiver may be
  // gone after the unlock.
  reactor* here = reactor_here();
  const bool near = receiver && here && (receiver == here || &receiver->nearest() == here);
  source_->readable.unlock();
  if (receiver && (!near || !receiver->collect())) return false;
  source_->readable.lock();
  const auto& k = source_->kernel;
  const bool quiet = source_->generation() == name_.generation && !k.first && k.end == 0;
  source_->readable.unlock();
  return quiet;
}

address ring_transport::local() noexcept { return address::local_of(descriptor()); }

void ring_transport::before_close(int socket) noexcept { end_both_ways(socket, resets_); }

}  // namespace heddle::detail
