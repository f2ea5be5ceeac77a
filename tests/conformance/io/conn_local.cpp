// SPDX-License-Identifier: MIT
// Our end of a connection: its address, its port, its options, and sockets that are given.
#include "conn_support.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <linux/sockios.h>

#include <algorithm>
#include <string>
#include <vector>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN_LOCAL);

h::task<> hold_until_the_end(h::stream_reader r, h::stream_writer) {
  (void)co_await error_of(r.read());
}

h::task<h::server> hold_at(std::string host) {
  return h::start_server(hold_until_the_end, std::move(host), 0);
}

int option_of(const h::connection& c, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  if (::getsockopt(c.writer.native_handle(), level, name, &value, &length) != 0) return -1;
  return value;
}

TEST_P(IO_CONN_LOCAL, IO_CONN_08_TheLocalAddressIsThatOfTheFamily) {
  run([]() -> h::task<> {
    auto s = co_await hold_at("127.0.0.1");
    h::connection_options o;
    o.local_host = "127.0.0.3";
    auto one = h::open_connection("127.0.0.1", s.port(), o);
    auto c = co_await one;
    EQUAL(c.writer.local_address().host(), "127.0.0.3");
    EQUAL(option_of(c, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1);
    c.writer.close();
    o.local_host = "::1";
    o.local_hosts = words("127.0.0.4", "127.0.0.5");
    auto two = h::open_connection("127.0.0.1", s.port(), o);
    auto d = co_await two;
    EQUAL(d.writer.local_address().host(), "127.0.0.4");
    d.writer.close();
  });
}

TEST_P(IO_CONN_LOCAL, IO_CONN_08_AnAddressWithoutALocalOneOfItsFamilyIsSkipped) {
  run([]() -> h::task<> {
    auto s = co_await hold_at("127.0.0.1");
    name_these({h::address::ip("fd00::1", 80), s.addresses().front()});
    h::connection_options o;
    o.attempt_delay = 1h;
    o.local_host = "127.0.0.3";
    auto one = h::open_connection("x.test", 80, o);
    auto c = co_await one;
    EQUAL(c.writer.local_address().host(), "127.0.0.3");
    c.writer.close();
    o.local_host = "::1";
    auto two = h::open_connection("127.0.0.1", s.port(), o);
    const auto error = co_await error_of(std::move(two));
    EQUAL(code_of(error), EADDRNOTAVAIL);
    HOLDS(has(h::describe(error), "no local address for the family"));
    for (const char* bad : {"localhost", "127.0.0", "1.2.3.4:5"}) {
      o.local_host = bad;
      auto three = h::open_connection("127.0.0.1", s.port(), o);
      const auto refused = co_await error_of(std::move(three));
      EQUAL(name_of(refused), "BadValue");
    }
  });
}

TEST_P(IO_CONN_LOCAL, IO_CONN_08_EachPortOfARangeServesOnceForOneAddress) {
  run([]() -> h::task<> {
    auto s = co_await hold_at("127.0.0.1");
    auto other = co_await hold_at("127.0.0.2");
    h::connection_options o;
    o.local_host = "127.0.0.8";
    o.local_port = 21'101;
    o.local_port_last = 21'103;
    std::vector<h::connection> open;
    std::vector<int> ports;
    for (int i = 0; i < 3; ++i) {
      auto one = h::open_connection("127.0.0.1", s.port(), o);
      open.push_back(co_await one);
      ports.push_back(open.back().writer.local_address().port());
    }
    std::sort(ports.begin(), ports.end());
    const std::vector<int> range{21'101, 21'102, 21'103};
    EQUAL(ports, range);
    auto fourth = h::open_connection("127.0.0.1", s.port(), o);
    const auto error = co_await error_of(std::move(fourth));
    EQUAL(code_of(error), EADDRNOTAVAIL);
    auto elsewhere = h::open_connection("127.0.0.2", other.port(), o);
    open.push_back(co_await elsewhere);
    for (auto& c : open) c.writer.abort();
    o.local_port_last = 21'100;
    auto none = h::open_connection("127.0.0.1", s.port(), o);
    const auto refused = co_await error_of(std::move(none));
    EQUAL(name_of(refused), "BadValue");
  });
}

TEST_P(IO_CONN_LOCAL, IO_CONN_08_ALocalAddressTakesNoPortForGood) {
  // What holds for two ports holds for 28,000: each serves every remote address.
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const std::uint32_t two_ports = 21'111u | 21'112u << 16;
  const bool known =
      ::setsockopt(probe, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &two_ports, sizeof two_ports) == 0;
  ::close(probe);
  if (!known) GTEST_SKIP() << "a kernel before 6.3";
  run([two_ports]() -> h::task<> {
    auto s = co_await hold_at("127.0.0.1");
    auto other = co_await hold_at("127.0.0.2");
    h::connection_options o;
    o.local_host = "127.0.0.9";
    o.prepare = [two_ports](int socket, const h::address&) {
      EQUAL(::setsockopt(socket, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &two_ports, sizeof two_ports), 0);
    };
    std::vector<h::connection> open;
    for (int i = 0; i < 4; ++i) {
      const h::server& to = i % 2 ? s : other;
      auto one = h::open_connection(to.addresses().front().host(), to.port(), o);
      open.push_back(co_await one);
    }
    for (auto& c : open) c.writer.abort();
  });
}

TEST_P(IO_CONN_LOCAL, IO_CONN_08_AUnixSocketIsBoundToNothing) {
  run([]() -> h::task<> {
    const auto path = fresh_path("local");
    auto s = co_await h::start_unix_server(echo, path);
    h::connection_options o;
    o.local_host = "127.0.0.3";
    o.local_port = 1;
    auto connecting = h::open_unix_connection(path, o);
    auto c = co_await connecting;
    HOLDS(c.writer.local_address().host().empty());
    c.writer.close();
  });
}

// --- a socket that is given ---

TEST_P(IO_CONN_LOCAL, IO_CONN_09_AConnectedSocketThatIsGivenBecomesAStream) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, std::string("127.0.0.1"), 0);
    const auto to = s.addresses().front();
    const int tcp = ::socket(AF_INET, SOCK_STREAM, 0);
    EQUAL(::connect(tcp, to.data(), to.size()), 0);
    auto adopting = h::adopt_connection(tcp);
    auto c = co_await adopting;
    EQUAL(c.writer.native_handle(), tcp);
    EQUAL(c.writer.peer_address().to_string(), to.to_string());
    c.writer.write("hello\n");
    const std::string line = co_await c.reader.read_line();
    EQUAL(line, "hello\n");
    c.writer.close();

    int both[2];
    EQUAL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
    auto unix_one = h::adopt_connection(both[0]);
    auto a = co_await unix_one;
    auto unix_two = h::adopt_connection(both[1]);
    auto b = co_await unix_two;
    a.writer.write("over there\n");
    const std::string over = co_await b.reader.read_line();
    EQUAL(over, "over there\n");
  });
}

TEST_P(IO_CONN_LOCAL, IO_CONN_09_AnotherKindIsRefusedAndStaysTheCallers) {
  int ends[2];
  EQUAL(::pipe2(ends, O_CLOEXEC), 0);
  const refusing bound;
  const int listening = ::dup(refusing().socket());
  EQUAL(::listen(listening, 1), 0);
  const int datagrams = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto before = open_descriptors();
  run([&]() -> h::task<> {
    for (const int wrong : {ends[0], bound.socket(), listening, datagrams, -1, 1'000'000}) {
      const int flags = ::fcntl(wrong, F_GETFL);
      auto adopting = h::adopt_connection(wrong);
      const auto error = co_await error_of(std::move(adopting));
      EQUAL(name_of(error), "BadValue");
      HOLDS(has(h::describe(error), "not a connected stream socket"));
      EQUAL(::fcntl(wrong, F_GETFL), flags);
    }
  });
  EQUAL(open_descriptors(), before);
  for (const int d : {ends[0], ends[1], listening, datagrams}) ::close(d);
}

// --- options ---

TEST_P(IO_CONN_LOCAL, IO_CONN_11_LittleIsUnsentInTheKernel) {
  run([]() -> h::task<> {
    constexpr std::size_t size = 8 << 20;
    h::promise<std::size_t> swallowed;
    auto all = swallowed.get_future();
    h::promise<> may_read;
    auto gate = may_read.get_future();
    auto slow = [&](h::stream_reader r, h::stream_writer) -> h::task<> {
      co_await gate;
      const auto n = co_await swallow(r);
      swallowed.set_value(n);
    };
    auto starting = h::start_server(slow, "127.0.0.1", 0);
    auto s = co_await starting;
    h::connection_options o;
    o.socket.unsent_limit = 16 * 1024;
    auto connecting = h::open_connection("127.0.0.1", s.port(), o);
    auto c = co_await connecting;
    c.writer.write(std::string(size, 'x'));
    // The kernel is full when nothing has gone for a while. A look too early sees less in it.
    for (int same = 0; same < 50;) {
      const auto held = c.writer.buffered();
      co_await h::sleep(200us);
      same = c.writer.buffered() == held ? same + 1 : 0;
    }
    int unsent = -1;
    EQUAL(::ioctl(c.writer.native_handle(), SIOCOUTQNSD, &unsent), 0);
    HOLDS(unsent >= 0 && unsent <= 256 * 1024);
    HOLDS(c.writer.buffered() > 0);
    may_read.set_value();
    c.writer.close();
    const std::size_t came = co_await all;
    EQUAL(came, size);
  });
}

TEST_P(IO_CONN_LOCAL, IO_CONN_11_OptionsOfTheSocketAreSet) {
  run([]() -> h::task<> {
    auto s = co_await hold_at("127.0.0.1");
    h::connection_options o;
    o.socket.keep_alive = 1500ms;
    o.socket.keep_alive_every = 7s;
    o.socket.keep_alive_probes = 3;
    o.socket.unacknowledged_limit = 2s;
    o.socket.unsent_limit = 16 * 1024;
    o.socket.receive_buffer = 20'000;
    o.socket.send_buffer = 30'000;
    auto connecting = h::open_connection("127.0.0.1", s.port(), o);
    auto c = co_await connecting;
    EQUAL(option_of(c, SOL_SOCKET, SO_KEEPALIVE), 1);
    EQUAL(option_of(c, IPPROTO_TCP, TCP_KEEPIDLE), 2);
    EQUAL(option_of(c, IPPROTO_TCP, TCP_KEEPINTVL), 7);
    EQUAL(option_of(c, IPPROTO_TCP, TCP_KEEPCNT), 3);
    EQUAL(option_of(c, IPPROTO_TCP, TCP_USER_TIMEOUT), 2000);
    EQUAL(option_of(c, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 16 * 1024);
    EQUAL(option_of(c, SOL_SOCKET, SO_RCVBUF), 40'000);
    EQUAL(option_of(c, SOL_SOCKET, SO_SNDBUF), 60'000);
    c.writer.close();
    const auto refused = [&s](h::socket_options wrong) {
      h::connection_options with;
      with.socket = wrong;
      return error_of(h::open_connection("127.0.0.1", s.port(), with));
    };
    std::vector<h::socket_options> wrong(5);
    wrong[0].keep_alive = 0s;
    wrong[1].keep_alive_every = 40'000s;
    wrong[2].keep_alive_probes = 128;
    wrong[3].send_buffer = std::size_t{1} << 40;
    wrong[4].unacknowledged_limit = -1s;
    for (const auto& w : wrong) {
      auto connecting_so = refused(w);
      const auto error = co_await std::move(connecting_so);
      EQUAL(name_of(error), "BadValue");
    }
  });
}

// --- a socket that meets itself ---

TEST_P(IO_CONN_LOCAL, IO_CONN_24_ASocketThatMeetsItselfIsRefused) {
  const refusing mine;  // nobody listens, and nobody else gets the port
  run([&]() -> h::task<> {
    h::connection_options o;
    o.local_host = "127.0.0.1";
    o.local_port = mine.at().port();
    const auto before = open_descriptors();
    for (int i = 0; i < 5; ++i) {
      auto connecting = h::open_connection("127.0.0.1", mine.at().port(), o);
      const auto error = co_await error_of(std::move(connecting));
      EQUAL(code_of(error), ECONNREFUSED);
      HOLDS(has(h::describe(error), mine.at().to_string()));
    }
    co_await until([before] { return open_descriptors() <= before; });
  });
}

}  // namespace
