// SPDX-License-Identifier: MIT
#include <heddle/io/unix_socket.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/datagram/message_core.h>
#include <heddle/io/descriptors/socket.h>
#include <heddle/sched/sleep.h>

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace heddle {
namespace detail {
namespace {

constexpr std::size_t most_bytes_at_once = std::size_t{1} << 30;
constexpr std::size_t most_of_stream_at_once = std::size_t{1} << 18;

int type_of(unix_kind kind) noexcept {
  if (kind == unix_kind::stream) return SOCK_STREAM;
  return kind == unix_kind::seqpacket ? SOCK_SEQPACKET : SOCK_DGRAM;
}

// A packet comes with the credentials of its sender, and the end comes without: so an empty packet
// is told from the end. On a stream credentials would only cut reads at each change of the sender.
message_kind prepare(int socket, int type, const address& peer, bool connected) {
  message_kind kind;
  kind.type = type;
  kind.connected = connected;
  kind.peer = peer;
  if (type != SOCK_STREAM) {
    set_option(socket, SOL_SOCKET, SO_PASSCRED, 1, "setsockopt SO_PASSCRED", peer);
    kind.tells_beside = true;
  }
  return kind;
}

message_core_pointer make_core(fd socket, int type, const address& peer, bool connected) {
  message_kind kind = prepare(socket.get(), type, peer, connected);
  return std::make_shared<message_core>(std::move(socket), std::move(kind));
}

fd make_unix(int type, const address& about) {
  return fd(check(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket",
                  about.to_string()));
}

/// connect(), again and again while the backlog of the listener is full: no event tells of room.
task<void> connect_socket(int socket, address to) {
  using namespace std::chrono_literals;
  auto pause = 1ms;
  for (;;) {
    const int error = begin_connect(socket, to);
    if (error == 0) co_return;
    if (error != EAGAIN) throw_system_error(error, "connect", to.to_string());
    co_await sleep(pause);
    pause = std::min(2 * pause, 50ms);
  }
}

/// Sends the whole message. Descriptors go with its first byte.
task<void> send_message(message_core_pointer core, std::string_view bytes,
                        std::span<const int> descriptors, address to) {
  if (message_budget_spent()) co_await yield_now();
  turn mine(core->senders(), core->line_of(to));
  co_await mine;
  const bool is_stream = core->kind().type == SOCK_STREAM;
  for (unsigned tries = 0;;) {
    if (is_stream && bytes.empty()) co_return;
    outgoing_message message(bytes, to);
    if (!descriptors.empty()) message.add_descriptors(descriptors);
    std::size_t went = 0;
    const sent how_it_went = core->try_send(message, to, went);
    if (how_it_went == sent::done) {
      if (!is_stream) co_return;
      bytes.remove_prefix(went);
      descriptors = {};
      tries = 0;
      if (message_budget_spent()) co_await yield_now();
      continue;
    }
    auto waiting = core->wait_for_room(how_it_went, tries++);
    co_await waiting;
  }
}

/// One try. False: nothing is there.
HEDDLE_NOINLINE bool try_receive(message_core& core, std::size_t most_bytes,
                                 std::size_t descriptors, unix_message& into) {
  const bool is_stream = core.kind().type == SOCK_STREAM;
  const std::size_t room = is_stream ? std::min(most_bytes, most_of_stream_at_once) : most_bytes;
  char* const scratch = receive_scratch(room);
  into.descriptors.reserve(descriptors);  // before anything is taken
  datagram_info info;
  beside other;
  other.descriptors = &into.descriptors;
  other.most_descriptors = descriptors;
  const ssize_t n = core.try_receive({scratch, room}, info, other);
  if (n < 0) return false;
  into.bytes.assign(scratch, info.size);
  into.truncated = info.truncated;
  into.descriptors_lost = other.descriptors_lost;
  into.sender = info.sender;
  into.credentials = info.credentials;
  into.end =
      n == 0 && (is_stream || (core.kind().type == SOCK_SEQPACKET && !other.has_credentials));
  return true;
}

task<unix_message> receive_message_by(message_core_pointer core, std::size_t most_bytes,
                                      std::size_t descriptors) {
  const message_core::receiving place(*core);
  unix_message got;
  for (;;) {
    if (message_budget_spent()) co_await yield_now();
    const auto seen = core->edges();
    if (try_receive(*core, most_bytes, descriptors, got)) break;
    readable_wait next(core->source(), core->name(), seen, "receive");
    co_await next;
  }
  co_return got;
}

/// One try. An invalid descriptor: nothing is there.
fd try_accept(message_core& core) {
  const message_core::stay inside(core, "accept4");
  for (;;) {
    fd taken(::accept4(core.descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (taken.valid() || errno == EAGAIN) return taken;
    if (errno != EINTR && errno != ECONNABORTED)
      throw_system_error(errno, "accept4", core.local().to_string());
  }
}

task<message_core_pointer> accept_by(message_core_pointer core) {
  const message_core::receiving place(*core);
  for (;;) {
    if (message_budget_spent()) co_await yield_now();
    const auto seen = core->edges();
    fd taken = try_accept(*core);
    if (taken.valid()) {
      const int type = core->kind().type;
      auto made = make_core(std::move(taken), type, core->local(), true);
      co_return made;
    }
    readable_wait next(core->source(), core->name(), seen, "accept");
    co_await next;
  }
}

std::size_t check_descriptors(std::string_view bytes, std::size_t n) {
  if (bytes.empty()) throw bad_value("descriptors are sent with at least one byte");
  return checked<std::size_t>(n, "the number of descriptors", 1, most_passed_descriptors);
}

task<void> send_one_descriptor(message_core_pointer core, std::string_view bytes, int descriptor) {
  const std::span<const int> one(&descriptor, 1);
  auto sending = send_message(core, bytes, one, {});
  co_await sending;
}

}  // namespace
}  // namespace detail

unix_socket::unix_socket(std::shared_ptr<detail::message_core> core) noexcept
    : core_(std::move(core)) {}

const std::shared_ptr<detail::message_core>& unix_socket::share() const {
  if (!core_) detail::throw_usage("this Unix socket was moved from");
  return core_;
}
detail::message_core& unix_socket::use() const { return *share(); }

std::pair<unix_socket, unix_socket> unix_socket::make_pair(unix_kind kind) {
  (void)detail::current_reactor();
  int both[2];
  const int type = detail::type_of(kind);
  detail::check(::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both), "socketpair");
  detail::fd first(both[0]), second(both[1]);
  unix_socket one(detail::make_core(std::move(first), type, {}, true));
  unix_socket other(detail::make_core(std::move(second), type, {}, true));
  return {std::move(one), std::move(other)};
}

task<unix_socket> unix_socket::connect(std::string path, unix_kind kind) {
  const address to = address::unix_path(path);
  const int type = detail::type_of(kind);
  detail::fd socket = detail::make_unix(type, to);
  if (kind == unix_kind::datagram) {
    const sa_family_t nameless = AF_UNIX;
    detail::check(
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&nameless), sizeof nameless), "bind",
        to.to_string());
  }
  auto connecting = detail::connect_socket(socket.get(), to);
  co_await connecting;
  unix_socket made(detail::make_core(std::move(socket), type, to, true));
  co_return made;
}

unix_socket unix_socket::bind(const std::string& path) {
  (void)detail::current_reactor();
  const address at = address::unix_path(path);
  detail::fd socket = detail::make_unix(SOCK_DGRAM, at);
  detail::check(::bind(socket.get(), at.data(), at.size()), "bind", at.to_string());
  return unix_socket(detail::make_core(std::move(socket), SOCK_DGRAM, {}, false));
}

unix_socket unix_socket::adopt(owned_descriptor socket) {
  (void)detail::current_reactor();
  detail::fd own(socket.release());
  const std::string about = "descriptor " + std::to_string(own.get());
  int family = 0, type = 0, listens = 0;
  const auto ask = [&](int option, int& value) {
    socklen_t length = sizeof value;
    detail::check(::getsockopt(own.get(), SOL_SOCKET, option, &value, &length), "getsockopt",
                  about);
  };
  ask(SO_DOMAIN, family);
  ask(SO_TYPE, type);
  ask(SO_ACCEPTCONN, listens);
  if (family != AF_UNIX || listens != 0) throw bad_value(about + " is no connected Unix socket");
  detail::make_non_blocking(own.get(), about);
  sockaddr_storage name;
  socklen_t length = sizeof name;
  const bool connected = ::getpeername(own.get(), reinterpret_cast<sockaddr*>(&name), &length) == 0;
  if (!connected && type != SOCK_DGRAM) throw bad_value(about + " is no connected Unix socket");
  const address peer = address::peer_of(own.get());
  return unix_socket(detail::make_core(std::move(own), type, peer, connected));
}

task<void> unix_socket::send(std::string_view bytes) const {
  return detail::send_message(share(), bytes, {}, {});
}
task<void> unix_socket::send_descriptors(std::string_view bytes,
                                         std::span<const int> descriptors) const {
  (void)detail::check_descriptors(bytes, descriptors.size());
  return detail::send_message(share(), bytes, descriptors, {});
}
task<void> unix_socket::send_descriptors(std::string_view bytes, int descriptor) const {
  (void)detail::check_descriptors(bytes, 1);
  return detail::send_one_descriptor(share(), bytes, descriptor);
}
task<void> unix_socket::send_to(std::string_view bytes, std::span<const int> descriptors,
                                address to) const {
  if (!descriptors.empty()) (void)detail::check_descriptors(bytes, descriptors.size());
  return detail::send_message(share(), bytes, descriptors, to);
}

task<unix_message> unix_socket::receive() const {
  return detail::receive_message_by(share(), default_most_bytes, most_descriptors);
}
task<unix_message> unix_socket::receive(std::size_t most_bytes, std::size_t descriptors) const {
  (void)detail::checked<std::size_t>(most_bytes, "the most bytes to receive", 1,
                                     detail::most_bytes_at_once);
  (void)detail::checked<std::size_t>(descriptors, "the most descriptors to receive", 0,
                                     most_descriptors);
  return detail::receive_message_by(share(), most_bytes, descriptors);
}

void unix_socket::write_eof() const {
  const detail::message_core::stay inside(use(), "shutdown");
  detail::check(::shutdown(use().descriptor(), SHUT_WR), "shutdown", use().about());
}
void unix_socket::close() const noexcept {
  if (core_) core_->close();
}
std::optional<peer_credentials> unix_socket::peer() const {
  const detail::message_core::stay inside(use(), "getsockopt SO_PEERCRED");
  return peer_credentials_of(use().descriptor());
}
const address& unix_socket::local_address() const { return use().local(); }
unix_kind unix_socket::kind() const {
  const int type = use().kind().type;
  if (type == SOCK_STREAM) return unix_kind::stream;
  return type == SOCK_SEQPACKET ? unix_kind::seqpacket : unix_kind::datagram;
}
int unix_socket::native_handle() const { return use().is_closed() ? -1 : use().descriptor(); }

// --- listener ---

unix_listener::unix_listener(std::shared_ptr<detail::message_core> core) noexcept
    : core_(std::move(core)) {}

unix_listener unix_listener::listen(const std::string& path, unix_kind kind) {
  (void)detail::current_reactor();
  if (kind == unix_kind::datagram) throw bad_value("datagram sockets have no connections");
  const address at = address::unix_path(path);
  detail::fd socket = detail::make_unix(detail::type_of(kind), at);
  detail::check(::bind(socket.get(), at.data(), at.size()), "bind", at.to_string());
  detail::check(::listen(socket.get(), SOMAXCONN), "listen", at.to_string());
  detail::message_kind how;
  how.type = detail::type_of(kind);
  how.bound_path = true;
  return unix_listener(std::make_shared<detail::message_core>(std::move(socket), std::move(how)));
}

task<unix_socket> unix_listener::accept() const {
  if (!core_) detail::throw_usage("this Unix listener was moved from");
  auto accepting = detail::accept_by(core_);
  auto core = co_await accepting;
  unix_socket made(std::move(core));
  co_return made;
}
void unix_listener::close() const noexcept {
  if (core_) core_->close();
}
const address& unix_listener::local_address() const {
  if (!core_) detail::throw_usage("this Unix listener was moved from");
  return core_->local();
}

}  // namespace heddle
