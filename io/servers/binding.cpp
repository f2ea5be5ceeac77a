// SPDX-License-Identifier: MIT
#include <heddle/io/servers/binding.h>

#include <heddle/core/errors.h>
#include <heddle/io/descriptors/socket.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace heddle::detail {
namespace {

int number_option(int socket, int name, int otherwise) noexcept {
  int value = otherwise;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, name, &value, &size) == 0 ? value : otherwise;
}

std::string about(int socket) { return "descriptor " + std::to_string(socket); }

/// A machine without IPv6 may still list IPv6 addresses.
bool is_missing_family(const std::system_error& e, const address& at) noexcept {
  return at.family() == AF_INET6 &&
         (e.code().value() == EAFNOSUPPORT || e.code().value() == EADDRNOTAVAIL);
}

/// Binds to one address, and adds its listeners.
void bind_one_address(const address& at, unsigned loops, const server_options& o, binding& to) {
  const bool one_a_loop = o.reuse_port && at.is_ip() && loops > 1;
  const bool shares = at.is_ip() && (one_a_loop || o.share_port);
  // With SO_REUSEPORT the kernel lets two servers share a port unawares. So the port is bound
  // without it first, as a trial.
  if (shares && !o.share_port && at.port() != 0) bind_socket(at, false, o).reset();
  fd first = bind_socket(at, shares, o);
  const address bound = address::local_of(first.get());
  to.where.push_back(bound);
  to.listeners.push_back(std::make_shared<listener>(std::move(first), 0));
  for (unsigned i = 1; one_a_loop && i < loops; ++i)
    to.listeners.push_back(std::make_shared<listener>(bind_socket(bound, true, o), i));
}

/// Binds to all addresses. False: the kernel drew a port that is taken at a later address.
bool bind_to_all(const std::vector<address>& at, unsigned loops, const server_options& o,
                 binding& to, bool draws_again) {
  std::uint16_t drawn = 0;
  for (address a : at) {
    const bool has_drawn_port = a.is_ip() && a.port() == 0 && drawn != 0;
    if (has_drawn_port) a.set_port(drawn);  // one port for all the addresses
    const bool draws = a.is_ip() && a.port() == 0;
    try {
      bind_one_address(a, loops, o, to);
    } catch (const std::system_error& e) {
      if (has_drawn_port && draws_again && e.code().value() == EADDRINUSE) return false;
      if (at.size() > 1 && is_missing_family(e, a)) continue;
      throw;
    }
    if (draws) drawn = to.where.back().port();
  }
  return true;
}

}  // namespace

fd bind_socket(const address& at, bool shares_port, const server_options& o) {
  fd s = make_stream_socket(at.family(), at);
  if (at.is_ip()) {
    set_option(s.get(), SOL_SOCKET, SO_REUSEADDR, 1, "setsockopt SO_REUSEADDR", at);
    if (shares_port)
      set_option(s.get(), SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt SO_REUSEPORT", at);
  }
  if (at.family() == AF_INET6)
    set_option(s.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "setsockopt IPV6_V6ONLY", at);
  if (o.prepare) o.prepare(s.get(), at);
  check(::bind(s.get(), at.data(), at.size()), "bind", at.to_string());
  return s;
}

binding bind_addresses(const std::vector<address>& at, unsigned loops, const server_options& o) {
  // Ports that were drawn in vain stay bound meanwhile, so that none of them is drawn again.
  std::vector<binding> in_vain;
  for (int draws = 1;; ++draws) {
    binding b;
    const bool all = bind_to_all(at, loops, o, b, draws < most_port_draws);
    if (all && b.listeners.empty())
      throw_system_error(EADDRNOTAVAIL, "bind",
                         at.empty() ? std::string() : at.front().to_string());
    if (all) return b;
    in_vain.push_back(std::move(b));
  }
}

void check_listening_sockets(const std::vector<int>& sockets) {
  if (sockets.empty()) throw bad_value("a server needs at least one listening socket");
  for (const int s : sockets) {
    if (!is_listening(s)) throw bad_value(about(s) + " is no socket that listens");
    if (number_option(s, SO_TYPE, 0) != SOCK_STREAM)
      throw bad_value(about(s) + " is no stream socket");
    if (std::count(sockets.begin(), sockets.end(), s) != 1)
      throw bad_value(about(s) + " was given twice");
  }
}

void check_bound_unix_socket(int socket) {
  const bool is_stream = number_option(socket, SO_DOMAIN, 0) == AF_UNIX &&
                         number_option(socket, SO_TYPE, 0) == SOCK_STREAM;
  if (!is_stream) throw bad_value(about(socket) + " is no stream socket of the Unix family");
  if (address::local_of(socket).host().empty())
    throw bad_value(about(socket) + " is not bound to a path or a name");
  if (address::peer_of(socket).size() != 0) throw bad_value(about(socket) + " is connected");
}

binding adopt_sockets(const std::vector<int>& sockets, unsigned loops, bool shared) {
  std::vector<fd> all;
  try {
    all.reserve(sockets.size());
  } catch (...) {
    for (const int s : sockets) fd(s).reset();
    throw;
  }
  for (const int s : sockets) all.emplace_back(s);
  binding b;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const int s = all[i].get();
    make_non_blocking(s, about(s));
    check(::fcntl(s, F_SETFD, FD_CLOEXEC), "fcntl F_SETFD", about(s));
    const address at = address::local_of(s);
    if (std::find(b.where.begin(), b.where.end(), at) == b.where.end()) b.where.push_back(at);
    const auto loop = static_cast<unsigned>(i % loops);
    b.listeners.push_back(std::make_shared<listener>(std::move(all[i]), loop, shared));
  }
  return b;
}

}  // namespace heddle::detail
