// SPDX-License-Identifier: MIT
// Servers on sockets that are given, ports for several addresses, and servers that take over from
// one another.
#include "conn_support.h"
#include "descriptor_count.h"

#include <heddle/io/given_sockets.h>
#include <heddle/io/owned_descriptor.h>

#include <fcntl.h>

#include <algorithm>
#include <atomic>

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN_GIVEN);

const std::string here = "127.0.0.1";

int bound_to(const h::address& at) {
  const int s = ::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  EQUAL(::bind(s, at.data(), at.size()), 0);
  return s;
}
int listening_at(const h::address& at) {
  const int s = bound_to(at);
  EQUAL(::listen(s, 100), 0);
  return s;
}

/// A ring lets go of a closed socket with its next look at the kernel.
h::task<> until_refused(std::uint16_t port) {
  for (int code = 0; code != ECONNREFUSED;) {
    auto asking = ask(port, "late");
    code = code_of(co_await error_of(std::move(asking)));
  }
}

TEST_P(IO_CONN_GIVEN, IO_CONN_14_AServerServesOnListeningSocketsThatAreGiven) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    const auto path = fresh_path("listening");
    std::vector<int> sockets;
    for (int i = 0; i < 2; ++i) sockets.push_back(listening_at(h::address::ip(here, 0)));
    sockets.push_back(listening_at(h::address::unix_path(path)));
    h::server_options o;
    o.start_serving = false;
    h::server s = co_await h::start_server_on(echo, sockets, o);
    EQUAL(s.sockets(), sockets);
    const std::vector<h::address> at = s.addresses();
    EQUAL(at.size(), 3u);
    EQUAL(at.back().to_string(), path);
    // Clients that come before wait in the kernel.
    h::connection early = co_await h::open_connection(here, at[0].port());
    early.writer.write("early\n");
    s.start_serving();
    const std::string first = co_await early.reader.read_line();
    EQUAL(first, "early\n");
    const std::string second = co_await ask(at[1].port(), "second");
    EQUAL(second, "second\n");
    h::connection third = co_await h::open_unix_connection(path);
    third.writer.write("third\n");
    const std::string line = co_await third.reader.read_line();
    EQUAL(line, "third\n");
    early.writer.close();
    third.writer.close();
    s.close();
    co_await s.wait_closed();
    HOLDS(std::filesystem::exists(path));  // whoever gave it may go on with it
    std::filesystem::remove(path);
    co_await until_refused(at[0].port());
  });
  EQUAL(open_ends(), before);
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN_GIVEN, IO_CONN_14_WhatDoesNotListenIsRefusedAndStaysTheCallers) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    const int good = listening_at(h::address::ip(here, 0));
    const int bound = bound_to(h::address::ip(here, 0));
    const int datagrams = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int packets = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const auto name = h::address::unix_path(std::string_view("\0heddle-case-packets", 20));
    EQUAL(::bind(packets, name.data(), name.size()), 0);
    EQUAL(::listen(packets, 1), 0);
    std::vector<std::vector<int>> bad_ones = {{}, {good, good}, {-1}};
    for (const int bad : {bound, datagrams, file, packets}) {
      std::vector<int> both(1, good);
      both.push_back(bad);
      bad_ones.push_back(both);
    }
    for (const auto& sockets : bad_ones) {
      auto starting = h::start_server_on(echo, sockets);
      const std::string how = co_await ending(std::move(starting));
      EQUAL(how, "BadValue");
    }
    for (const int mine : {good, bound, datagrams, file, packets}) EQUAL(::close(mine), 0);
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_CONN_GIVEN, IO_CONN_14_TheEnvironmentNamesSockets) {
  const std::string me = std::to_string(::getpid());
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int first = ::fcntl(socket, F_DUPFD, 100);
  ::close(socket);
  ASSERT_GE(first, 100);
  h::detail::given_by_environment by{me.c_str(), "1", "web:other", first};
  const auto one = h::detail::given_sockets_of(by);
  EQUAL(one.size(), 1u);
  EQUAL(one.front().descriptor, first);
  EQUAL(one.front().name, "web");
  HOLDS((::fcntl(first, F_GETFD) & FD_CLOEXEC) != 0);
  by.names = nullptr;
  EQUAL(h::detail::given_sockets_of(by).front().name, "");
  by.count = "0";
  HOLDS(h::detail::given_sockets_of(by).empty());
  for (const char* bad : {"", "-1", "1x", "99999999999"}) {
    by.count = bad;
    THROWS(h::bad_value, h::detail::given_sockets_of(by));
  }
  by.count = "1";
  by.process = "1";  // for another process
  HOLDS(h::detail::given_sockets_of(by).empty());
  by.process = nullptr;
  HOLDS(h::detail::given_sockets_of(by).empty());
  HOLDS(h::given_sockets().empty());
  ::close(first);
  by.process = me.c_str();
  THROWS(std::system_error, h::detail::given_sockets_of(by));
}

/// Takes the port that was drawn for the first address away from the later ones, so many times.
class port_taker {
 public:
  port_taker(std::string first, int times) : first_(std::move(first)), left_(times) {}
  void operator()(const h::address& at) {
    if (at.host() == first_ || at.port() == 0 || left_ == 0) return;
    --left_;
    taken_.push_back(h::owned_descriptor(listening_at(at)));
    ports_.push_back(at.port());
  }
  [[nodiscard]] const std::vector<std::uint16_t>& ports() const { return ports_; }

 private:
  std::string first_;
  int left_;
  std::vector<h::owned_descriptor> taken_;
  std::vector<std::uint16_t> ports_;
};

h::task<> start_at_both(std::string second) {
  port_taker taker(here, 3);
  h::server_options o;
  o.prepare = [&taker](int, const h::address& at) { taker(at); };
  std::vector<std::string> hosts;
  hosts.push_back(here);
  hosts.push_back(second);
  auto starting = h::start_server(echo, hosts, 0, o);
  h::server s = co_await std::move(starting);
  const auto at = s.addresses();
  EQUAL(at.size(), 2u);
  EQUAL(at[0].port(), at[1].port());
  EQUAL(taker.ports().size(), 3u);
  EQUAL(std::count(taker.ports().begin(), taker.ports().end(), at[0].port()), 0);
  h::connection c = co_await h::open_connection(second, s.port());
  c.writer.write("both\n");
  const std::string line = co_await c.reader.read_line();
  EQUAL(line, "both\n");
}

TEST_P(IO_CONN_GIVEN, IO_CONN_15_APortThatIsTakenAtTheSecondAddressIsDrawnAnew) {
  const auto before = open_ends();
  const int probe = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto six = h::address::ip("::1", 0);
  const bool has_six = ::bind(probe, six.data(), six.size()) == 0;
  ::close(probe);
  run([has_six]() -> h::task<> {
    co_await start_at_both("127.0.0.2");
    if (has_six) co_await start_at_both("::1");
    // A port that is asked for is not replaced by another one.
    const int taken = listening_at(h::address::ip("127.0.0.2", 0));
    std::vector<std::string> hosts;
    hosts.push_back(here);
    hosts.push_back("127.0.0.2");
    auto starting = h::start_server(echo, hosts, h::address::local_of(taken).port());
    EQUAL(code_of(co_await error_of(std::move(starting))), EADDRINUSE);
    ::close(taken);
  });
  EQUAL(open_ends(), before);
}

// --- taking over ---

/// Clients that connect again and again, and note who served them.
struct load {
  std::uint16_t port = 0;
  std::atomic<bool> stop{false};
  std::atomic<bool> pause{false};
  std::atomic<int> under_way{0};
  std::atomic<int> failed{0};
  std::atomic<int> by_a{0};
  std::atomic<int> by_b{0};

  h::task<> visit_once() {
    try {
      h::connection c = co_await h::open_connection(here, port);
      const std::string who = co_await c.reader.read();
      c.writer.close();
      if (who == "A") ++by_a;
      if (who == "B") ++by_b;
      if (who.empty()) ++failed;
    } catch (const std::system_error&) { ++failed; }
  }
  h::task<> run() {
    while (!stop.load()) {
      if (pause.load()) {
        co_await h::sleep(100us);
        continue;
      }
      ++under_way;
      if (!pause.load()) co_await visit_once();
      --under_way;
      co_await h::yield_now();
    }
  }
};

auto says(std::string name) {
  return [name](h::stream_reader, h::stream_writer w) -> h::task<> {
    w.write(name);
    w.close();
    co_await w.wait_closed();
  };
}

std::vector<h::task_handle<void>> start_load(load& clients) {
  std::vector<h::task_handle<void>> all;
  for (int i = 0; i < 6; ++i) all.push_back(h::create_task(clients.run()));
  return all;
}

TEST_P(IO_CONN_GIVEN, IO_CONN_21_AServerTakesOverByPassedSocketsUnderLoad) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    auto starting = h::start_server(says("A"), here, 0);
    h::server old_one = co_await std::move(starting);
    load clients;
    clients.port = old_one.port();
    auto all = start_load(clients);
    co_await until([&] { return clients.by_a.load() >= 20; });
    std::vector<int> passed;
    for (const int s : old_one.sockets()) passed.push_back(::fcntl(s, F_DUPFD_CLOEXEC, 0));
    auto taking = h::start_server_on(says("B"), passed);
    h::server new_one = co_await std::move(taking);
    EQUAL(new_one.port(), clients.port);
    old_one.hand_over();
    co_await old_one.wait_closed();
    const int so_far = clients.by_b.load();
    co_await until([&] { return clients.by_b.load() >= so_far + 50; });
    clients.stop = true;
    for (auto& one : all) co_await one;
    EQUAL(clients.failed.load(), 0);
    const int by_a = clients.by_a.load();
    const int by_b = clients.by_b.load();
    co_await clients.visit_once();
    EQUAL(clients.by_a.load(), by_a);
    EQUAL(clients.by_b.load(), by_b + 1);
    new_one.close();
    co_await new_one.wait_closed();
  });
  EQUAL(open_ends(), before);
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN_GIVEN, IO_CONN_21_AServerTakesOverByASharedPort) {
  run([]() -> h::task<> {
    h::server_options o;
    o.share_port = true;
    auto starting = h::start_server(says("A"), here, 0, o);
    h::server old_one = co_await std::move(starting);
    load clients;
    clients.port = old_one.port();
    auto all = start_load(clients);
    co_await until([&] { return clients.by_a.load() >= 20; });
    auto taking = h::start_server(says("B"), here, clients.port, o);
    h::server new_one = co_await std::move(taking);
    co_await until([&] { return clients.by_b.load() >= 20; });
    // A client whose handshake is half done just then would be reset: protocol BACKLOG.
    clients.pause = true;
    co_await until([&] { return clients.under_way.load() == 0; });
    old_one.close();
    clients.pause = false;
    co_await old_one.wait_closed();
    const int by_a = clients.by_a.load();
    const int so_far = clients.by_b.load();
    co_await until([&] { return clients.by_b.load() >= so_far + 50; });
    clients.stop = true;
    for (auto& one : all) co_await one;
    EQUAL(clients.failed.load(), 0);
    EQUAL(clients.by_a.load(), by_a);
    // Without the option a server wants the port for itself.
    auto third = h::start_server(echo, here, clients.port);
    EQUAL(code_of(co_await error_of(std::move(third))), EADDRINUSE);
    new_one.close();
    co_await new_one.wait_closed();
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
