// SPDX-License-Identifier: MIT
#include <heddle/io/datagram/message.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/checked.h>

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>

namespace heddle::detail {
namespace {

template <class T>
T value_of(const cmsghdr& c) noexcept {
  T value{};
  std::memcpy(&value, CMSG_DATA(&c), std::min(sizeof value, c.cmsg_len - CMSG_LEN(0)));
  return value;
}

address address_of(in_addr host) noexcept {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr = host;
  return {reinterpret_cast<const sockaddr*>(&v4), sizeof v4};
}

address address_of(const in6_pktinfo& info) noexcept {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = info.ipi6_addr;
  // A scope belongs to link-local addresses alone.
  if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) v6.sin6_scope_id = info.ipi6_ifindex;
  return {reinterpret_cast<const sockaddr*>(&v6), sizeof v6};
}

std::chrono::system_clock::time_point time_of(const timespec& t) noexcept {
  const std::chrono::nanoseconds since =
      std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
  using whole = std::chrono::system_clock::duration;
  return std::chrono::system_clock::time_point(std::chrono::floor<whole>(since));
}

void take_descriptors(const cmsghdr& c, beside& other) noexcept {
  const std::size_t n = (c.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < n; ++i) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(&c) + i * sizeof number, sizeof number);
    owned_descriptor came(number);
    if (!other.descriptors) continue;  // nobody asked: `came` closes it
    // Whoever asks has reserved the room, so nothing is allocated.
    if (other.descriptors->size() < other.most_descriptors)
      other.descriptors->push_back(std::move(came));
    else
      other.descriptors_lost = true;
  }
}

void read_control(const cmsghdr& c, datagram_info& info, beside& other) noexcept {
  if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_RIGHTS) {
    take_descriptors(c, other);
  } else if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_CREDENTIALS) {
    const auto who = value_of<ucred>(c);
    info.credentials = peer_credentials{who.pid, who.uid, who.gid};
    other.has_credentials = true;
  } else if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_TIMESTAMPNS) {
    info.received_at = time_of(value_of<timespec>(c));
  } else if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SO_RXQ_OVFL) {
    info.dropped = value_of<std::uint32_t>(c);
  } else if (c.cmsg_level == IPPROTO_IP && c.cmsg_type == IP_PKTINFO) {
    const auto where = value_of<in_pktinfo>(c);
    info.destination = address_of(where.ipi_addr);
    info.interface_index = saturated<unsigned>(where.ipi_ifindex);
  } else if (c.cmsg_level == IPPROTO_IPV6 && c.cmsg_type == IPV6_PKTINFO) {
    const auto where = value_of<in6_pktinfo>(c);
    info.destination = address_of(where);
    info.interface_index = where.ipi6_ifindex;
  } else if (c.cmsg_level == IPPROTO_IP && c.cmsg_type == IP_TOS) {
    info.traffic_class = value_of<std::uint8_t>(c);
  } else if (c.cmsg_level == IPPROTO_IPV6 && c.cmsg_type == IPV6_TCLASS) {
    info.traffic_class = saturated<unsigned>(value_of<int>(c));
  } else if (c.cmsg_level == SOL_UDP && c.cmsg_type == UDP_GRO) {
    other.segment_size = saturated<std::size_t>(value_of<int>(c));
  }
}

}  // namespace

void read_message(msghdr& message, std::size_t length, std::size_t room, datagram_info& info,
                  beside& other) noexcept {
  info.length = length;
  info.size = std::min(length, room);
  info.truncated = (message.msg_flags & MSG_TRUNC) != 0;
  info.sender = message.msg_name
                    ? address(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen)
                    : address();
  other.descriptors_lost = (message.msg_flags & MSG_CTRUNC) != 0;
  if (message.msg_controllen < sizeof(cmsghdr)) return;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
    read_control(*c, info, other);
}

ssize_t receive_message(int socket, std::span<char> room, std::span<char> control,
                        datagram_info& info, beside& other, bool is_stream) noexcept {
  sockaddr_storage from;
  iovec piece{room.data(), room.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  ssize_t n = 0;
  do {
    message.msg_namelen = sizeof from;
    message.msg_control = control.empty() ? nullptr : control.data();
    message.msg_controllen = control.size();
    n = ::recvmsg(socket, &message, (is_stream ? 0 : MSG_TRUNC) | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return -errno;
  read_message(message, static_cast<std::size_t>(n), room.size(), info, other);
  return n;
}

// --- outgoing ---

outgoing_message::outgoing_message(std::string_view bytes, const address& to) noexcept
    : piece_{const_cast<char*>(bytes.data()), bytes.size()} {
  if (to.size() != 0) {
    message_.msg_name = const_cast<sockaddr*>(to.data());
    message_.msg_namelen = to.size();
  }
  message_.msg_iov = &piece_;
  message_.msg_iovlen = 1;
}

void outgoing_message::add(int level, int type, const void* data, std::size_t size) noexcept {
  char* const room = large_.empty() ? control_.bytes : large_.data();
  const std::size_t most = large_.empty() ? sizeof control_.bytes : large_.size();
  const std::size_t used = message_.msg_controllen;
  HEDDLE_ASSERT(used + CMSG_SPACE(size) <= most, "more travels beside a message than has room");
  std::memset(room + used, 0, CMSG_SPACE(size));
  message_.msg_control = room;
  message_.msg_controllen = used + CMSG_SPACE(size);
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(size);
  std::memcpy(room + used, &header, sizeof header);
  std::memcpy(room + used + CMSG_LEN(0), data, size);
}

void outgoing_message::add(const send_options& how, int family) noexcept {
  if (how.from.family() == AF_INET || (how.interface_index != 0 && family == AF_INET)) {
    in_pktinfo where{};
    where.ipi_ifindex = saturated<int>(how.interface_index);
    if (how.from.family() == AF_INET)
      where.ipi_spec_dst = reinterpret_cast<const sockaddr_in*>(how.from.data())->sin_addr;
    add(IPPROTO_IP, IP_PKTINFO, &where, sizeof where);
  } else if (how.from.family() == AF_INET6 || (how.interface_index != 0 && family == AF_INET6)) {
    in6_pktinfo where{};
    where.ipi6_ifindex = how.interface_index;
    if (how.from.family() == AF_INET6)
      where.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(how.from.data())->sin6_addr;
    add(IPPROTO_IPV6, IPV6_PKTINFO, &where, sizeof where);
  }
  if (how.traffic_class < 0) return;
  const int value = how.traffic_class;
  if (family == AF_INET) add(IPPROTO_IP, IP_TOS, &value, sizeof value);
  if (family == AF_INET6) add(IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value);
}

void outgoing_message::add_segment_size(std::uint16_t size) noexcept {
  add(SOL_UDP, UDP_SEGMENT, &size, sizeof size);
}

void outgoing_message::add_descriptors(std::span<const int> descriptors) {
  const std::size_t size = descriptors.size_bytes();
  if (CMSG_SPACE(size) > sizeof control_.bytes) large_.resize(CMSG_SPACE(size));
  add(SOL_SOCKET, SCM_RIGHTS, descriptors.data(), size);
}

ssize_t outgoing_message::send(int socket) noexcept {
  ssize_t n = 0;
  do {
    n = ::sendmsg(socket, &message_, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

}  // namespace heddle::detail
