// SPDX-License-Identifier: MIT
#include <heddle/io/datagram.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/datagram/message_core.h>
#include <heddle/io/datagram/opening.h>
#include <heddle/sched/sleep.h>

#include <algorithm>
#include <utility>

namespace heddle {
namespace detail {
namespace {

task<void> send_by(message_core_pointer core, std::string_view bytes, address to,
                   send_options how) {
  if (message_budget_spent()) co_await yield_now();
  if (!core->senders().busy() && core->try_send(bytes, to, how) == sent::done) co_return;
  turn mine(core->senders(), core->line_of(to));
  co_await mine;
  for (unsigned tries = 0;; ++tries) {
    const sent how_it_went = core->try_send(bytes, to, how);
    if (how_it_went == sent::done) co_return;
    auto waiting = core->wait_for_room(how_it_went, tries);
    co_await waiting;
  }
}

/// Sends what one call takes of `rest`, and waits until it takes something.
task<std::size_t> send_some(message_core_pointer core, std::span<const outgoing_datagram> rest) {
  std::size_t went = 0;
  if (!core->senders().busy() && core->try_send(rest, went) == sent::done) co_return went;
  turn mine(core->senders(), core->line_of(rest.front().to));
  co_await mine;
  for (unsigned tries = 0;; ++tries) {
    const sent how_it_went = core->try_send(rest, went);
    if (how_it_went == sent::done) co_return went;
    auto waiting = core->wait_for_room(how_it_went, tries);
    co_await waiting;
  }
}

/// An error behind the first step is told by the next call, if it would not come again.
void keep_for_later(message_core& core, const std::system_error& e) noexcept {
  const int code = e.code().value();
  if (code == ECONNREFUSED || code == EHOSTUNREACH || code == ENETUNREACH) core.owe_error(code);
}

task<std::size_t> send_many_by(message_core_pointer core,
                               std::span<const outgoing_datagram> datagrams) {
  std::size_t went = 0;
  while (went < datagrams.size()) {
    if (message_budget_spent()) co_await yield_now();
    try {
      auto step = send_some(core, datagrams.subspan(went));
      went += co_await step;
    } catch (const std::system_error& e) {
      if (went == 0) throw;
      keep_for_later(*core, e);
      break;
    }
  }
  co_return went;
}

/// One piece of send_segments by one call. False: the kernel or the device cannot cut it.
task<bool> send_cut(message_core_pointer core, std::string_view bytes, std::size_t size,
                    address to) {
  turn mine(core->senders(), core->line_of(to));
  co_await mine;
  for (unsigned tries = 0;; ++tries) {
    outgoing_message message(bytes, to);
    message.add_segment_size(narrow<std::uint16_t>(size));
    std::size_t went = 0;
    sent how_it_went = sent::done;
    try {
      how_it_went = core->try_send(message, to, went);
    } catch (const std::system_error& e) {
      const int code = e.code().value();
      if (code == ECANCELED || code == ECONNREFUSED) throw;
      // EIO: the device has no checksums. The others may be errors of the datagrams themselves.
      if (code == EIO || code == ENOPROTOOPT || code == EOPNOTSUPP)
        core->cuts_segments.store(false, relaxed);
      co_return false;
    }
    if (how_it_went == sent::done) co_return true;
    auto waiting = core->wait_for_room(how_it_went, tries);
    co_await waiting;
  }
}

task<void> send_segments_by(message_core_pointer core, std::string_view bytes, std::size_t size,
                            address to) {
  constexpr std::size_t most_bytes = 65507;  // that of one datagram over IPv4 bounds a call
  const std::size_t step = std::min(most_bytes / size, most_in_batch) * size;
  while (!bytes.empty()) {
    if (message_budget_spent()) co_await yield_now();
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    if (piece.size() > size && core->cuts_segments.load(relaxed)) {
      auto cutting = send_cut(core, piece, size, to);
      const bool done = co_await cutting;
      if (done) continue;
    }
    while (!piece.empty()) {
      auto sending = send_by(core, piece.substr(0, size), to, send_options());
      co_await sending;
      piece.remove_prefix(std::min(size, piece.size()));
    }
  }
}

// The three receives differ in what they try. Each takes the count of edges before it tries.

task<datagram> receive_by(message_core_pointer core) {
  const message_core::receiving place(*core);
  datagram got;
  for (;;) {
    if (message_budget_spent()) co_await yield_now();
    const auto seen = core->edges();
    if (core->try_receive(got)) break;
    readable_wait next(core->source(), core->name(), seen, "datagram");
    co_await next;
  }
  co_return got;
}

task<datagram_info> receive_into_by(message_core_pointer core, std::span<char> room) {
  const message_core::receiving place(*core);
  datagram_info got;
  for (;;) {
    if (message_budget_spent()) co_await yield_now();
    const auto seen = core->edges();
    if (core->try_receive(room, got)) break;
    readable_wait next(core->source(), core->name(), seen, "datagram");
    co_await next;
  }
  co_return got;
}

task<std::vector<datagram>> receive_many_by(message_core_pointer core, std::size_t most) {
  const message_core::receiving place(*core);
  std::vector<datagram> got;
  for (;;) {
    if (message_budget_spent()) co_await yield_now();
    const auto seen = core->edges();
    if (core->try_receive(most, got)) break;
    readable_wait next(core->source(), core->name(), seen, "datagram");
    co_await next;
  }
  co_return got;
}

}  // namespace
}  // namespace detail

datagram_socket::datagram_socket(std::shared_ptr<detail::message_core> core) noexcept
    : core_(std::move(core)) {}

const std::shared_ptr<detail::message_core>& datagram_socket::share() const {
  if (!core_) detail::throw_usage("this datagram socket was moved from");
  return core_;
}
detail::message_core& datagram_socket::use() const { return *share(); }

datagram_socket datagram_socket::bind(const address& at, const datagram_options& options) {
  return datagram_socket(detail::bind_datagrams(at, options));
}
datagram_socket datagram_socket::connect(const address& peer, const datagram_options& options) {
  return datagram_socket(detail::connect_datagrams(peer, options));
}
datagram_socket datagram_socket::open(int family, const datagram_options& options) {
  return datagram_socket(detail::open_datagrams(family, options));
}
datagram_socket datagram_socket::adopt(owned_descriptor socket, const datagram_options& options) {
  return datagram_socket(detail::adopt_datagrams(detail::fd(socket.release()), options));
}

task<void> datagram_socket::send(std::string_view bytes) const {
  return detail::send_by(share(), bytes, {}, {});
}
task<void> datagram_socket::send_to(std::string_view bytes, address to) const {
  return detail::send_by(share(), bytes, to, {});
}
task<void> datagram_socket::send_to(std::string_view bytes, address to, send_options how) const {
  (void)detail::checked<int>(how.traffic_class, "the traffic class", -1, 255);
  return detail::send_by(share(), bytes, to, how);
}
task<std::size_t> datagram_socket::send_many(std::span<const outgoing_datagram> datagrams) const {
  return detail::send_many_by(share(), datagrams);
}
task<void> datagram_socket::send_segments(std::string_view bytes, std::size_t size,
                                          address to) const {
  (void)detail::checked<std::size_t>(size, "the size of a segment", 1, 65507);
  if (use().family() == AF_UNIX)
    detail::throw_usage("send_segments on a Unix socket: it has no segments");
  return detail::send_segments_by(share(), bytes, size, to);
}
task<datagram> datagram_socket::receive() const { return detail::receive_by(share()); }
task<datagram_info> datagram_socket::receive_into(std::span<char> room) const {
  return detail::receive_into_by(share(), room);
}
task<std::vector<datagram>> datagram_socket::receive_many(std::size_t most) const {
  (void)detail::checked<std::size_t>(most, "the most datagrams to receive", 1);
  return detail::receive_many_by(share(), std::min(most, most_at_once));
}

void datagram_socket::join_group(const address& group, std::string_view interface) const {
  detail::change_membership(use(), group, detail::interface_index_of(interface), true);
}
void datagram_socket::leave_group(const address& group, std::string_view interface) const {
  detail::change_membership(use(), group, detail::interface_index_of(interface), false);
}
void datagram_socket::set_multicast_loop(bool on) const { detail::set_multicast_loop(use(), on); }
void datagram_socket::set_multicast_hops(int hops) const {
  detail::set_multicast_hops(use(), hops);
}
void datagram_socket::set_multicast_interface(std::string_view interface) const {
  detail::set_multicast_interface(use(), detail::interface_index_of(interface));
}

void datagram_socket::close() const noexcept {
  if (core_) core_->close();
}
const address& datagram_socket::local_address() const { return use().local(); }
const address& datagram_socket::peer_address() const { return use().kind().peer; }
int datagram_socket::native_handle() const { return is_closed() ? -1 : use().descriptor(); }
bool datagram_socket::is_closed() const { return use().is_closed(); }

}  // namespace heddle
