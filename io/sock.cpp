// SPDX-License-Identifier: MIT
#include <heddle/io/sock.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/datagram/message_core.h>
#include <heddle/io/descriptors/socket.h>
#include <heddle/io/sock/foreign_wait.h>
#include <heddle/sched/sleep.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

namespace heddle {
namespace detail {
namespace {

constexpr std::size_t most_received_at_once = 256 * 1024;

std::string named(int descriptor) { return "descriptor " + std::to_string(descriptor); }

/// Calls until no signal interrupts. Returns the result, or a negative errno.
template <class Call>
ssize_t outcome_of(Call call) noexcept {
  ssize_t n = 0;
  do { n = call(); } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

/// True: `n` is a result. False: the call would block.
bool succeeded(ssize_t n, const char* call, int descriptor) {
  if (n >= 0) return true;
  const int error = saturated<int>(-n);
  if (error == EAGAIN || error == EWOULDBLOCK) return false;
  throw_system_error(error, call, named(descriptor));
}

// A call that waits: `once(descriptor)` tries, without waiting, on the descriptor of the caller at
// first, later on the duplicate. It answers whether it is done. `name`: of the call, for errors.
template <class Once>
task<void> until_done(int descriptor, direction way, const char* name, Once& once) {
  if (once(descriptor)) co_return;
  foreign_call call(descriptor);
  for (unsigned tries = 0;; ++tries) {
    call.check_open(name);
    const auto seen = call.edges();
    if (once(call.descriptor())) co_return;
    if (way == direction::in) {
      readable_wait next = call.until_readable(seen);
      co_await next;
    } else if (tries < 3) {
      writable_wait next = call.until_writable();
      co_await next;
    } else {
      // No event tells of room in the queue of a Unix receiver.
      const std::chrono::milliseconds pause(1 << std::min(tries - 3, 4u));
      co_await sleep(pause);
    }
  }
}

task<void> wait_ready(int descriptor, direction way, const char* name) {
  if (message_budget_spent()) co_await yield_now();
  check_foreign(descriptor, name, false);
  auto once = [way, name](int d) { return is_ready(d, way, name); };
  auto waiting = until_done(descriptor, way, name, once);
  co_await waiting;
}

/// One receive into memory of the thread, which the string is made of. False: nothing is there.
HEDDLE_NOINLINE bool receive_string(int descriptor, std::size_t most, std::string& into) {
  const std::size_t room = std::min(most, most_received_at_once);
  char* const scratch = receive_scratch(room);
  const ssize_t n = outcome_of([&] { return ::recv(descriptor, scratch, room, MSG_DONTWAIT); });
  if (!succeeded(n, "recv", descriptor)) return false;
  into.assign(scratch, static_cast<std::size_t>(n));
  return true;
}

task<void> send_all(int descriptor, std::string_view bytes, std::size_t& sent) {
  check_foreign(descriptor, "send", true);
  turn mine(foreign_senders(), std::to_string(descriptor));
  // Made before anything is waited for: afterwards the number may belong to another file.
  std::optional<foreign_call> call;
  if (!mine.try_take()) {
    call.emplace(descriptor);
    co_await mine;
  }
  while (!bytes.empty()) {
    if (message_budget_spent()) {
      if (!call) call.emplace(descriptor);
      co_await yield_now();
    }
    if (call) call->check_open("send");
    const int d = call ? call->descriptor() : descriptor;
    const ssize_t n = outcome_of(
        [&] { return ::send(d, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT); });
    if (succeeded(n, "send", descriptor)) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      sent += static_cast<std::size_t>(n);
      continue;
    }
    if (!call) call.emplace(descriptor);
    writable_wait room = call->until_writable();
    co_await room;
  }
}

task<void> send_all_uncounted(int descriptor, std::string_view bytes) {
  std::size_t sent = 0;
  auto sending = send_all(descriptor, bytes, sent);
  co_await sending;
}

/// An error of accept4 that belongs to the connection, and not to the listener.
bool is_connection_gone(ssize_t n) noexcept {
  switch (-n) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT: return true;
    default: return false;
  }
}

bool accept_once(int descriptor, sock_accepted& into) {
  for (;;) {
    sockaddr_storage from;
    socklen_t length = sizeof from;
    const ssize_t n = outcome_of([&] {
      length = sizeof from;
      return static_cast<ssize_t>(::accept4(descriptor, reinterpret_cast<sockaddr*>(&from), &length,
                                            SOCK_NONBLOCK | SOCK_CLOEXEC));
    });
    if (is_connection_gone(n)) continue;
    if (!succeeded(n, "accept4", descriptor)) return false;
    into.socket = owned_descriptor(narrow<int>(n));
    into.peer = address(reinterpret_cast<const sockaddr*>(&from), length);
    return true;
  }
}

/// A connect that is on its way. True: it has succeeded.
bool is_connected(int descriptor, const std::string& about) {
  int error = 0;
  socklen_t length = sizeof error;
  check(::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length), "getsockopt SO_ERROR",
        about);
  if (error != 0) throw_system_error(error, "connect", about);
  sockaddr_storage peer;
  length = sizeof peer;
  return ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
}

/// The backlog of a Unix listener is full, and no event tells of room: it is tried again.
task<int> connect_again(int descriptor, address to) {
  using namespace std::chrono_literals;
  const foreign_call call(descriptor);
  auto pause = 1ms;
  for (;;) {
    co_await sleep(pause);
    pause = std::min(2 * pause, 16ms);
    call.check_open("connect");
    const int error = begin_connect(call.descriptor(), to);
    if (error != EAGAIN) co_return error;
  }
}

task<void> connect_by(int descriptor, address to) {
  check_foreign(descriptor, "connect", true);
  int error = begin_connect(descriptor, to);
  if (error == EAGAIN && to.family() == AF_UNIX) {
    auto again = connect_again(descriptor, to);
    error = co_await again;
  }
  if (error == 0) co_return;
  const std::string about = named(descriptor) + " to " + to.to_string();
  if (error != EINPROGRESS) throw_system_error(error, "connect", about);
  auto once = [&about](int d) {
    return is_ready(d, direction::out, "connect") && is_connected(d, about);
  };
  auto waiting = until_done(descriptor, direction::out, "connect", once);
  co_await waiting;
}

}  // namespace
}  // namespace detail

using detail::direction;

task<void> readable(int descriptor) {
  return detail::wait_ready(descriptor, direction::in, "readable");
}
task<void> writable(int descriptor) {
  return detail::wait_ready(descriptor, direction::out, "writable");
}

task<std::string> sock_recv(int descriptor, std::size_t most) {
  if (detail::message_budget_spent()) co_await yield_now();
  detail::check_foreign(descriptor, "recv", true);
  std::string got;
  if (most == 0) co_return got;
  auto once = [most, &got](int d) { return detail::receive_string(d, most, got); };
  auto waiting = detail::until_done(descriptor, direction::in, "recv", once);
  co_await waiting;
  co_return got;
}

task<std::size_t> sock_recv_into(int descriptor, std::span<char> room) {
  if (detail::message_budget_spent()) co_await yield_now();
  detail::check_foreign(descriptor, "recv", true);
  std::size_t got = 0;
  if (room.empty()) co_return got;
  auto once = [room, &got](int d) {
    const ssize_t n =
        detail::outcome_of([d, room] { return ::recv(d, room.data(), room.size(), MSG_DONTWAIT); });
    if (!detail::succeeded(n, "recv", d)) return false;
    got = static_cast<std::size_t>(n);
    return true;
  };
  auto waiting = detail::until_done(descriptor, direction::in, "recv", once);
  co_await waiting;
  co_return got;
}

task<sock_datagram> sock_recvfrom_into(int descriptor, std::span<char> room) {
  if (detail::message_budget_spent()) co_await yield_now();
  detail::check_foreign(descriptor, "recvmsg", true);
  sock_datagram got;
  auto once = [room, &got](int d) {
    datagram_info info;
    detail::beside other;
    const ssize_t n = detail::receive_message(d, room, {}, info, other, true);
    if (!detail::succeeded(n, "recvmsg", d)) return false;
    got.size = info.size;
    got.truncated = info.truncated;
    got.sender = info.sender;
    return true;
  };
  auto waiting = detail::until_done(descriptor, direction::in, "recvmsg", once);
  co_await waiting;
  co_return got;
}

task<void> sock_sendto(int descriptor, std::string_view bytes, address to) {
  if (detail::message_budget_spent()) co_await yield_now();
  detail::check_foreign(descriptor, "sendmsg", true);
  auto once = [bytes, &to](int d) {
    detail::outgoing_message message(bytes, to);
    return detail::succeeded(message.send(d), "sendmsg", d);
  };
  auto waiting = detail::until_done(descriptor, direction::out, "sendmsg", once);
  co_await waiting;
}

task<void> sock_sendall(int descriptor, std::string_view bytes) {
  return detail::send_all_uncounted(descriptor, bytes);
}
task<void> sock_sendall(int descriptor, std::string_view bytes, std::size_t& sent) {
  sent = 0;
  return detail::send_all(descriptor, bytes, sent);
}

task<sock_accepted> sock_accept(int descriptor) {
  if (detail::message_budget_spent()) co_await yield_now();
  detail::check_foreign(descriptor, "accept4", true);
  sock_accepted got;
  auto once = [&got](int d) { return detail::accept_once(d, got); };
  auto waiting = detail::until_done(descriptor, direction::in, "accept4", once);
  co_await waiting;
  co_return got;
}

task<void> sock_connect(int descriptor, address to) { return detail::connect_by(descriptor, to); }

void sock_close(int descriptor) {
  detail::check_foreign(descriptor, "close", false);
  detail::end_foreign_calls(descriptor);
  // The number is free also if close() is interrupted.
  if (::close(descriptor) != 0 && errno != EINTR)
    throw_system_error(errno, "close", detail::named(descriptor));
}

void notify_closing(int descriptor) noexcept { detail::end_foreign_calls(descriptor); }

}  // namespace heddle
