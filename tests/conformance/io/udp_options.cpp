// SPDX-License-Identifier: MIT
// Datagrams: multicast, broadcast, shared ports, and what is told beside the bytes.
#include "udp_cases.h"

#include <net/if.h>
#include <netinet/in.h>

#include <chrono>

namespace conformance {
namespace {

REACTOR_CASES(IO_UDP_OPTIONS);

std::string loopback_index() { return std::to_string(::if_nametoindex("lo")); }

h::task<> multicast(const char* any, std::string group, std::string interface) {
  h::datagram_options o;
  o.reuse_address = true;
  auto member = h::datagram_socket::bind(h::address::ip(any, 0), o);
  const auto port = member.local_address().port();
  // Bound to the same port, and no member: it must not hear the group.
  auto stranger = h::datagram_socket::bind(h::address::ip(any, port), o);
  const h::address to = h::address::ip(group, port);
  member.join_group(to, interface);
  auto sender = h::datagram_socket::open(to.family());
  sender.set_multicast_interface(interface);
  sender.set_multicast_loop(true);
  sender.set_multicast_hops(0);
  const int code = co_await code_of_send(sender, "to the group", to);
  if (code == ENETUNREACH && to.family() == AF_INET6) {
    member.leave_group(to, interface);
    co_return;  // this machine has no route for groups over IPv6 on its loopback
  }
  EQUAL(code, 0);
  EQUAL((co_await member.receive()).bytes, "to the group");
  char byte;
  EQUAL(::recv(stranger.native_handle(), &byte, 1, MSG_DONTWAIT), -1);
  // Both hear when both have joined.
  stranger.join_group(to, interface);
  co_await sender.send_to("for both", to);
  EQUAL((co_await member.receive()).bytes, "for both");
  EQUAL((co_await stranger.receive()).bytes, "for both");
  member.leave_group(to, interface);
  co_await sender.send_to("for one", to);
  EQUAL((co_await stranger.receive()).bytes, "for one");
  EQUAL(::recv(member.native_handle(), &byte, 1, MSG_DONTWAIT), -1);
  THROWS(std::system_error, member.leave_group(to, interface));
}

TEST_P(IO_UDP_OPTIONS, IO_UDP_14_OnlyGroupsThatWereJoinedAreHeard) {
  run([]() -> h::task<> {
    co_await multicast("0.0.0.0", "239.7.7.7", "lo");
    co_await multicast("0.0.0.0", "239.7.7.8", loopback_index());
    co_await multicast("::", "ff01::7:7", "lo");
    auto socket = bound();
    const h::address group = h::address::ip("239.7.7.9", 1);
    THROWS(h::bad_value, socket.join_group(group, "no such interface"));
    THROWS(h::bad_value, socket.set_multicast_hops(256));
    THROWS(std::system_error, socket.join_group(h::address::ip("127.0.0.1", 1), "lo"));
    THROWS(std::system_error, socket.join_group(h::address::unix_path("/x"), "lo"));
  });
}

TEST_P(IO_UDP_OPTIONS, IO_UDP_14_BroadcastIsRefusedUnlessItIsAllowed) {
  run([]() -> h::task<> {
    auto receiver = bound("0.0.0.0");
    const h::address all = h::address::ip("127.255.255.255", receiver.local_address().port());
    auto forbidden = h::datagram_socket::open(AF_INET);
    EQUAL(co_await code_of_send(forbidden, "x", all), EACCES);
    h::datagram_options o;
    o.broadcast = true;
    auto allowed = h::datagram_socket::open(AF_INET, o);
    co_await allowed.send_to("to all", all);
    EQUAL((co_await receiver.receive()).bytes, "to all");
  });
}

TEST_P(IO_UDP_OPTIONS, IO_UDP_15_APortIsSharedOnlyWhereAllSayIt) {
  run([]() -> h::task<> {
    h::datagram_options shared;
    shared.reuse_port = true;
    std::vector<h::datagram_socket> servers;
    servers.push_back(bound("127.0.0.1", shared));
    const h::address at = servers[0].local_address();
    for (int i = 0; i < 3; ++i) servers.push_back(h::datagram_socket::bind(at, shared));
    THROWS(std::system_error, (void)h::datagram_socket::bind(at));
    auto alone = bound();
    THROWS(std::system_error, (void)h::datagram_socket::bind(alone.local_address()));
    THROWS(std::system_error, (void)h::datagram_socket::bind(alone.local_address(), shared));
    // One sender always reaches the same socket.
    auto client = h::datagram_socket::connect(at);
    std::size_t reached = servers.size();
    for (int i = 0; i < 5; ++i) {
      co_await client.send("x");
      std::size_t now = servers.size();
      auto arrived = until([&] {
        char byte;
        for (std::size_t s = 0; s < servers.size(); ++s)
          if (::recv(servers[s].native_handle(), &byte, 1, MSG_DONTWAIT) == 1) now = s;
        return now != servers.size();
      });
      co_await std::move(arrived);
      if (i > 0) EQUAL(now, reached);
      reached = now;
    }
  });
}

h::task<> told_beside(const char* any, const char* first, const char* second) {
  h::datagram_options o;
  o.packet_info = true;
  auto server = bound(any, o);
  auto client = h::datagram_socket::open(h::address::ip(first, 0).family());
  const auto port = server.local_address().port();
  for (const char* asked : {first, second}) {
    const auto before = std::chrono::system_clock::now() - 10s;
    h::send_options how;
    how.traffic_class = 0x2a;  // ECT(0) in the low bits
    co_await client.send_to("question", h::address::ip(asked, port), how);
    const h::datagram got = co_await server.receive();
    EQUAL(got.destination.host(), asked);
    EQUAL(got.interface_index, ::if_nametoindex("lo"));
    EQUAL(got.traffic_class, 0x2au);
    EQUAL(got.ecn(), 2u);
    EQUAL(got.dropped, 0u);
    HOLDS(got.received_at > before);
    HOLDS(got.received_at < std::chrono::system_clock::now() + 10s);
    // The answer goes out from the address that was asked.
    h::send_options answer;
    answer.from = got.destination;
    answer.interface_index = got.interface_index;
    co_await server.send_to("answer", got.sender, answer);
    const h::datagram told = co_await client.receive();
    EQUAL(told.bytes, "answer");
    EQUAL(told.sender.host(), asked);
    EQUAL(told.traffic_class, 0u);  // not asked for
  }
}

TEST_P(IO_UDP_OPTIONS, IO_UDP_22_WhatTravelsBesideIsToldAndAnAnswerHasTheAddressAsked) {
  run([]() -> h::task<> {
    co_await told_beside("0.0.0.0", "127.0.0.1", "127.0.0.2");
    co_await told_beside("::", "::1", "::1");
    // An IPv6 socket that hears IPv4 tells the same.
    h::datagram_options o;
    o.packet_info = true;
    o.v6_only = false;
    auto both = bound("::", o);
    auto client = h::datagram_socket::open(AF_INET);
    co_await client.send_to("old", h::address::ip("127.0.0.1", both.local_address().port()));
    const h::datagram got = co_await both.receive();
    EQUAL(got.sender.host(), "::ffff:127.0.0.1");
    HOLDS(got.destination.host().ends_with("127.0.0.1"));
    co_await both.send_to("answer", got.sender);
    EQUAL((co_await client.receive()).bytes, "answer");
    // In batches, too.
    co_await client.send_to("old", h::address::ip("127.0.0.1", both.local_address().port()));
    const auto batch = co_await both.receive_many(8);
    HOLDS(batch.at(0).destination.host().ends_with("127.0.0.1"));
  });
}

TEST_P(IO_UDP_OPTIONS, IO_UDP_22_OptionsThatAreNotAskedForAreOff) {
  run([]() -> h::task<> {
    h::datagram_options o;
    o.v6_only = true;
    o.send_buffer = 100'000;
    o.receive_buffer = 100'000;
    auto six = bound("::", o);
    int size = 0;
    socklen_t length = sizeof size;
    (void)::getsockopt(six.native_handle(), SOL_SOCKET, SO_SNDBUF, &size, &length);
    HOLDS(size >= 100'000);
    // IPv6 alone: an IPv4 socket cannot reach it.
    auto four = h::datagram_socket::open(AF_INET);
    const auto old_way = h::address::ip("127.0.0.1", six.local_address().port());
    co_await four.send_to("x", old_way);
    char byte;
    EQUAL(::recv(six.native_handle(), &byte, 1, MSG_DONTWAIT), -1);
    h::datagram_options from;
    from.local = h::address::ip("127.0.0.3", 0);
    auto client =
        h::datagram_socket::connect(h::address::ip("127.0.0.1", four.local_address().port()), from);
    co_await client.send("x");
    const h::datagram got = co_await four.receive();
    EQUAL(got.sender.host(), "127.0.0.3");
    EQUAL(got.destination.size(), 0u);
    HOLDS(!got.credentials);
  });
}

}  // namespace
}  // namespace conformance
