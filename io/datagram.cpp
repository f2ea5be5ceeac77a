// SPDX-License-Identifier: MIT
#include <heddle/io/datagram.h>

#include <heddle/core/errors.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/descriptors/socket.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/sched/sleep.h>

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace heddle {
namespace detail {

/// A datagram socket, shared by its handles and by the tasks in their calls.
///
/// Danger     One task closes the descriptor while another is inside a system call on it. The call
///            would hit the next file with that number.
/// Prevented  A call enters before it names the descriptor, and goes out after. close() sets a bit
///            in the same word. The last of them closes the descriptor.
/// Costs      Two locked operations a system call.
class datagram_core {
 public:
  explicit datagram_core(fd socket)
      : socket_(std::move(socket)),
        local_(address::local_of(socket_.get())),
        source_(&current_reactor().watch(socket_.get(), nullptr, watched_for::both_ways)),
        name_(source_->name()) {}
  datagram_core(const datagram_core&) = delete;
  ~datagram_core() { close(); }

  /// A stay inside the socket. Throws ECANCELED if the socket is closed.
  class stay {
   public:
    stay(datagram_core& core, const char* call) : core_(core) {
      // pairs with the fetch_or in close()
      if (core_.users_.fetch_add(1, acq_rel) & closed) {
        core_.go_out();
        throw_system_error(ECANCELED, call, core_.local_.to_string() + ": the socket was closed");
      }
    }
    stay(const stay&) = delete;
    ~stay() { core_.go_out(); }

   private:
    datagram_core& core_;
  };

  void close() noexcept {
    // pairs with the fetch_add of a stay
    if (users_.fetch_or(closed, acq_rel) & closed) return;
    users_.fetch_add(1, relaxed);
    source_->retire();
    go_out();
  }

  /// Wakes the next task that waits in `queue`. One edge wakes one task, but may tell of several
  /// datagrams. So each task that took one, or was cancelled, hands the edge on.
  void hand_on(wait_queue& queue) noexcept {
    queue.lock();
    waiter* w = source_->generation() == name_.generation ? queue.claim_first() : nullptr;
    task_record* next = w ? w->task : nullptr;
    queue.unlock();
    if (next) schedule(*next);
  }

  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  [[nodiscard]] const address& local() const noexcept { return local_; }
  [[nodiscard]] io_source& source() const noexcept { return *source_; }
  [[nodiscard]] source_name name() const noexcept { return name_; }

 private:
  static constexpr std::uint32_t closed = 1u << 31;

  void go_out() noexcept {
    // The last one sees what the others did. pairs with the other calls of go_out()
    if (users_.fetch_sub(1, acq_rel) != (closed | 1)) return;
    // A stay that found the bit goes out too. So more than one may come here, and one closes.
    // pairs with the exchange of the other that comes here
    if (!freed_.exchange(true, acq_rel)) socket_.reset();
  }

  fd socket_;
  const address local_;
  io_source* const source_;
  const source_name name_;
  atomic<std::uint32_t> users_{0};  // stays, and the bit `closed`
  atomic<bool> freed_{false};
};

namespace {

fd open_socket(const address& at, const datagram_options& options) {
  fd socket(check(::socket(at.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket",
                  at.to_string()));
  if (options.reuse_port)
    set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt SO_REUSEPORT", at);
  if (options.broadcast)
    set_option(socket.get(), SOL_SOCKET, SO_BROADCAST, 1, "setsockopt SO_BROADCAST", at);
  return socket;
}

bool is_full(int error) noexcept { return error == EAGAIN || error == ENOBUFS; }

/// One try. False: nothing is there.
bool try_receive(datagram_core& core, std::span<char> room, datagram_info& info) {
  const datagram_core::stay inside(core, "recvmsg");
  sockaddr_storage from;
  iovec piece{room.data(), room.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  ssize_t n = 0;
  do { n = ::recvmsg(core.descriptor(), &message, MSG_TRUNC); } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return false;
  check(n, "recvmsg", core.local().to_string());
  info.length = static_cast<std::size_t>(n);
  info.size = std::min(info.length, room.size());
  info.truncated = (message.msg_flags & MSG_TRUNC) != 0;
  info.sender = address(reinterpret_cast<const sockaddr*>(&from), message.msg_namelen);
  return true;
}

/// The same with room for any datagram of UDP. The room stands on the stack of the loop, so the
/// string gets the bytes that came and no more.
HEDDLE_NOINLINE bool try_receive_whole(datagram_core& core, datagram& into) {
  char room[datagram_socket::most_bytes];
  if (!try_receive(core, room, into)) return false;
  into.bytes.assign(room, into.size);
  return true;
}

/// One try. False: the kernel has no room.
bool try_send(datagram_core& core, std::string_view bytes, const address& to) {
  const datagram_core::stay inside(core, "sendto");
  ssize_t n = 0;
  do {
    n = ::sendto(core.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL,
                 to.size() ? to.data() : nullptr, to.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0 && is_full(errno)) return false;
  check(n, "sendto", to.to_string());
  return true;
}

using core_pointer = std::shared_ptr<datagram_core>;

task<void> wait_readable(core_pointer core, std::uint32_t seen) {
  readable_wait next(core->source(), core->name(), seen, "datagram");
  try {
    co_await next;
  } catch (...) {
    core->hand_on(core->source().readable);
    throw;
  }
}

task<void> send_by(core_pointer core, std::string_view bytes, address to) {
  using namespace std::chrono_literals;
  auto pause = 1ms;
  while (!try_send(*core, bytes, to)) {
    if (core->local().family() != AF_INET && core->local().family() != AF_INET6) {
      // The queue of a Unix receiver is full, and no event tells of room in it.
      co_await sleep(pause);
      pause = std::min(2 * pause, 50ms);
      continue;
    }
    writable_wait room(core->source(), core->name(), "datagram");
    try {
      co_await room;
    } catch (...) {
      core->hand_on(core->source().writable);
      throw;
    }
  }
  core->hand_on(core->source().writable);
}

task<datagram> receive_by(core_pointer core) {
  datagram got;
  for (;;) {
    const auto seen = core->source().edges();
    if (try_receive_whole(*core, got)) break;
    co_await wait_readable(core, seen);
  }
  core->hand_on(core->source().readable);
  co_return got;
}

task<datagram_info> receive_into_by(core_pointer core, std::span<char> room) {
  datagram_info got;
  for (;;) {
    const auto seen = core->source().edges();
    if (try_receive(*core, room, got)) break;
    co_await wait_readable(core, seen);
  }
  core->hand_on(core->source().readable);
  co_return got;
}

}  // namespace
}  // namespace detail

datagram_socket::datagram_socket(std::shared_ptr<detail::datagram_core> core) noexcept
    : core_(std::move(core)) {}

datagram_socket datagram_socket::bind(const address& at, const datagram_options& options) {
  detail::fd socket = detail::open_socket(at, options);
  detail::check(::bind(socket.get(), at.data(), at.size()), "bind", at.to_string());
  return datagram_socket(std::make_shared<detail::datagram_core>(std::move(socket)));
}

datagram_socket datagram_socket::connect(const address& peer, const datagram_options& options) {
  detail::fd socket = detail::open_socket(peer, options);
  detail::check(::connect(socket.get(), peer.data(), peer.size()), "connect", peer.to_string());
  return datagram_socket(std::make_shared<detail::datagram_core>(std::move(socket)));
}

task<void> datagram_socket::send(std::string_view bytes) const {
  return detail::send_by(core_, bytes, {});
}
task<void> datagram_socket::send_to(std::string_view bytes, address to) const {
  return detail::send_by(core_, bytes, to);
}
task<datagram> datagram_socket::receive() const { return detail::receive_by(core_); }
task<datagram_info> datagram_socket::receive_into(std::span<char> room) const {
  return detail::receive_into_by(core_, room);
}
void datagram_socket::close() const noexcept { core_->close(); }
const address& datagram_socket::local_address() const noexcept { return core_->local(); }

}  // namespace heddle
