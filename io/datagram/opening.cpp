// SPDX-License-Identifier: MIT
#include <heddle/io/datagram/opening.h>

#include <heddle/core/checked.h>
#include <heddle/io/descriptors/socket.h>

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

namespace heddle::detail {
namespace {

#ifndef IPV6_MULTICAST_ALL
constexpr int IPV6_MULTICAST_ALL = 29;  // Linux 4.20
#endif

void set_buffer(int socket, int name, std::size_t bytes, const char* call, const address& about) {
  if (bytes == 0) return;
  set_option(socket, SOL_SOCKET, name, checked<int>(bytes, "the size of a socket's buffer", 1),
             call, about);
}

void ask_for_packet_info(int socket, int family, const address& at) {
  const auto on = [&](int level, int name, const char* call) {
    set_option(socket, level, name, 1, call, at);
  };
  on(SOL_SOCKET, SO_TIMESTAMPNS, "setsockopt SO_TIMESTAMPNS");
  on(SOL_SOCKET, SO_RXQ_OVFL, "setsockopt SO_RXQ_OVFL");
  if (family == AF_INET6) {
    on(IPPROTO_IPV6, IPV6_RECVPKTINFO, "setsockopt IPV6_RECVPKTINFO");
    on(IPPROTO_IPV6, IPV6_RECVTCLASS, "setsockopt IPV6_RECVTCLASS");
  }
  if (family == AF_INET || family == AF_INET6) {
    // An IPv6 socket that hears IPv4 too tells the IPv4 ones so; one that does not may refuse.
    const int value = 1;
    const bool told = ::setsockopt(socket, IPPROTO_IP, IP_PKTINFO, &value, sizeof value) == 0 &&
                      ::setsockopt(socket, IPPROTO_IP, IP_RECVTOS, &value, sizeof value) == 0;
    if (!told && family == AF_INET)
      throw_system_error(errno, "setsockopt IP_PKTINFO", at.to_string());
  }
}

/// By default Linux hands a socket the datagrams of all groups that any socket of the machine has
/// joined. From here on it gets those of its own groups.
void hear_own_groups_alone(int socket, int family) noexcept {
  const int off = 0;
  if (family == AF_INET) (void)::setsockopt(socket, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off);
  // A kernel before 4.20 has no such option.
  if (family == AF_INET6)
    (void)::setsockopt(socket, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &off, sizeof off);
}

void apply(int socket, int family, const datagram_options& o, const address& at,
           message_kind& kind) {
  if (o.reuse_port) set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt SO_REUSEPORT", at);
  if (o.reuse_address)
    set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1, "setsockopt SO_REUSEADDR", at);
  if (o.broadcast) set_option(socket, SOL_SOCKET, SO_BROADCAST, 1, "setsockopt SO_BROADCAST", at);
  if (o.v6_only && family == AF_INET6)
    set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, *o.v6_only ? 1 : 0, "setsockopt IPV6_V6ONLY", at);
  set_buffer(socket, SO_RCVBUF, o.receive_buffer, "setsockopt SO_RCVBUF", at);
  set_buffer(socket, SO_SNDBUF, o.send_buffer, "setsockopt SO_SNDBUF", at);
  if (o.packet_info) {
    ask_for_packet_info(socket, family, at);
    kind.tells_beside = true;
  }
  if (o.credentials && family == AF_UNIX) {
    set_option(socket, SOL_SOCKET, SO_PASSCRED, 1, "setsockopt SO_PASSCRED", at);
    kind.tells_beside = true;
  }
  const int on = 1;
  if (o.coalesce && family != AF_UNIX)
    kind.coalesces = ::setsockopt(socket, SOL_UDP, UDP_GRO, &on, sizeof on) == 0;
  hear_own_groups_alone(socket, family);
}

fd make_socket(int family, const address& about) {
  return fd(check(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket",
                  about.to_string()));
}

void bind_to(int socket, const address& at) {
  check(::bind(socket, at.data(), at.size()), "bind", at.to_string());
}

/// Gives the socket an address of the kernel's choice, so that its peers can answer.
void bind_to_any(int socket, int family) {
  sockaddr_storage any{};
  any.ss_family = static_cast<sa_family_t>(family);
  const socklen_t length = family == AF_UNIX    ? sizeof(sa_family_t)
                           : family == AF_INET6 ? sizeof(sockaddr_in6)
                                                : sizeof(sockaddr_in);
  check(::bind(socket, reinterpret_cast<const sockaddr*>(&any), length), "bind");
}

message_core_pointer make_core(fd socket, message_kind kind) {
  return std::make_shared<message_core>(std::move(socket), std::move(kind));
}

}  // namespace

message_core_pointer bind_datagrams(const address& at, const datagram_options& o) {
  (void)current_reactor();
  message_kind kind;
  fd socket = make_socket(at.family(), at);
  apply(socket.get(), at.family(), o, at, kind);
  bind_to(socket.get(), at);
  kind.bound_path = o.cleanup_socket;
  return make_core(std::move(socket), std::move(kind));
}

message_core_pointer connect_datagrams(const address& peer, const datagram_options& o) {
  (void)current_reactor();
  message_kind kind;
  fd socket = make_socket(peer.family(), peer);
  apply(socket.get(), peer.family(), o, peer, kind);
  if (o.local.size() != 0)
    bind_to(socket.get(), o.local);
  else if (peer.family() == AF_UNIX)
    bind_to_any(socket.get(), AF_UNIX);  // connect() gives a Unix socket no name
  check(::connect(socket.get(), peer.data(), peer.size()), "connect", peer.to_string());
  kind.connected = true;
  kind.peer = peer;
  kind.bound_path = o.cleanup_socket && o.local.size() != 0;
  return make_core(std::move(socket), std::move(kind));
}

message_core_pointer open_datagrams(int family, const datagram_options& o) {
  (void)current_reactor();
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
    throw bad_value("datagram_socket::open: the family must be AF_INET, AF_INET6 or AF_UNIX");
  message_kind kind;
  fd socket = make_socket(family, {});
  apply(socket.get(), family, o, {}, kind);
  if (family != AF_UNIX) bind_to_any(socket.get(), family);
  return make_core(std::move(socket), std::move(kind));
}

message_core_pointer adopt_datagrams(fd socket, const datagram_options& o) {
  (void)current_reactor();
  const std::string about = "descriptor " + std::to_string(socket.get());
  int type = 0;
  socklen_t length = sizeof type;
  check(::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &length), "getsockopt SO_TYPE",
        about);
  if (type != SOCK_DGRAM) throw bad_value(about + " is no datagram socket");
  make_non_blocking(socket.get(), about);
  const address at = address::local_of(socket.get());
  message_kind kind;
  apply(socket.get(), at.family(), o, at, kind);
  kind.peer = address::peer_of(socket.get());
  kind.connected = kind.peer.size() != 0;
  return make_core(std::move(socket), std::move(kind));
}

// --- multicast ---

unsigned interface_index_of(std::string_view interface) {
  if (interface.empty()) return 0;
  const std::string name(interface);
  unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0 && !parse_number(interface, index)) index = 0;
  if (index == 0) throw bad_value("no network interface named \"" + name + "\"");
  return index;
}

void change_membership(message_core& core, const address& group, unsigned interface, bool join) {
  const char* call = join ? "setsockopt MCAST_JOIN_GROUP" : "setsockopt MCAST_LEAVE_GROUP";
  const message_core::stay inside(core, call);
  group_req wanted{};
  wanted.gr_interface = interface;
  std::memcpy(&wanted.gr_group, group.data(), group.size());
  const int level = group.family() == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  check(::setsockopt(core.descriptor(), level, join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &wanted,
                     sizeof wanted),
        call, group.to_string());
}

void set_multicast_loop(message_core& core, bool on) {
  const char* call = "setsockopt IP_MULTICAST_LOOP";
  const message_core::stay inside(core, call);
  const bool v6 = core.family() == AF_INET6;
  set_option(core.descriptor(), v6 ? IPPROTO_IPV6 : IPPROTO_IP,
             v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, on ? 1 : 0, call, core.local());
}

void set_multicast_hops(message_core& core, int hops) {
  const char* call = "setsockopt IP_MULTICAST_TTL";
  (void)checked<int>(hops, "the number of hops", 0, 255);
  const message_core::stay inside(core, call);
  const bool v6 = core.family() == AF_INET6;
  set_option(core.descriptor(), v6 ? IPPROTO_IPV6 : IPPROTO_IP,
             v6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, hops, call, core.local());
}

void set_multicast_interface(message_core& core, unsigned interface) {
  const char* call = "setsockopt IP_MULTICAST_IF";
  const message_core::stay inside(core, call);
  const int index = checked<int>(interface, "the index of an interface", 0);
  if (core.family() == AF_INET6) {
    set_option(core.descriptor(), IPPROTO_IPV6, IPV6_MULTICAST_IF, index, call, core.local());
    return;
  }
  ip_mreqn wanted{};
  wanted.imr_ifindex = index;
  check(::setsockopt(core.descriptor(), IPPROTO_IP, IP_MULTICAST_IF, &wanted, sizeof wanted), call,
        core.local().to_string());
}

}  // namespace heddle::detail
