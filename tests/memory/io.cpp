// SPDX-License-Identifier: MIT
// Memory runs out anywhere: each verb of io, with each of its allocations failing.
#include "memory/on_reactors.h"

#include <heddle/io/memory_pair.h>
#include <heddle/io/process.h>
#include <heddle/io/resolve.h>
#include <heddle/io/resolver.h>
#include <heddle/io/signal_set.h>
#include <heddle/io/stream.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/sleep.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace memory;

class MemoryOfIo : public on_reactors {};
INSTANTIATE_TEST_SUITE_P(, MemoryOfIo, testing::ValuesIn(kinds()), name_of);

/// Sends back what comes, with the kernel's calls alone.
class plain_echo {
 public:
  plain_echo() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    (void)::bind(socket_, reinterpret_cast<sockaddr*>(&at), length);
    (void)::listen(socket_, 64);
    (void)::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &length);
    port_ = ::ntohs(at.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~plain_echo() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

 private:
  void serve() const noexcept {
    for (;;) {
      const int c = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (c < 0) return;
      char bytes[4096];
      for (ssize_t n; (n = ::recv(c, bytes, sizeof bytes, 0)) > 0;)
        (void)!::send(c, bytes, static_cast<std::size_t>(n), MSG_NOSIGNAL);
      ::close(c);
    }
  }
  int socket_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

TEST_P(MemoryOfIo, IsShortOnAConnection) {
  const plain_echo peer;
  check("open_connection, read, write", [&] { return talk(peer.port()); }, 1);
}

TEST_P(MemoryOfIo, IsShortInAFillAndTheReaderMayFillAgain) {
  if (GetParam().reactor != h::reactor_kind::epoll) GTEST_SKIP() << "elsewhere the kernel fills";
  const plain_echo peer;
  h::options o;
  o.loops = GetParam().loops;
  o.reactor = GetParam().reactor;
  bool refused = false;
  std::size_t got = 0;
  h::run(
      [&]() -> h::task<> {
        auto opening = h::open_connection("127.0.0.1", peer.port());
        auto c = co_await std::move(opening);
        const std::string much(40'000, 'x');
        c.writer.write(much);
        while (c.reader.buffered().size() < 16'384) {  // from here on a fill needs memory
          const bool more = co_await c.reader.fill();
          if (!more) break;
        }
        begin({1, 1});
        try {
          const bool more = co_await c.reader.fill();
          (void)more;
        } catch (const std::bad_alloc&) { refused = true; }
        (void)end();
        while (c.reader.buffered().size() < much.size()) {
          const bool more = co_await c.reader.fill();
          if (!more) break;
        }
        got = c.reader.buffered().size();
        c.writer.close();
      }(),
      o);
  EXPECT_TRUE(refused);
  EXPECT_EQ(got, 40'000u);
}

h::task<int> pours() {
  constexpr std::size_t room = 2 * 1024 * 1024;
  auto pair = h::memory_pair(room);
  auto& w = pair.first.writer;
  auto& r = pair.second.reader;
  w.write(std::string(room / 2, 'h'));
  {
    auto reading = r.read_exactly(room / 2);
    (void)co_await std::move(reading);
  }
  w.write(std::string(room + 10, 'r'));  // a turn's worth, and a rest that a callback sends
  w.close();
  std::size_t n = 0;
  for (;;) {
    const bool more = co_await r.fill();
    if (!more) break;
    n += r.buffered().size();
    r.consume(r.buffered().size());
  }
  co_return n == room + 10 ? 1 : 0;
}
TEST_P(MemoryOfIo, IsShortWhileMuchIsWritten) { check("a memory pair", pours, 1); }

h::task<int> signals() {
  h::signal_set set{SIGUSR1};
  (void)::kill(::getpid(), SIGUSR1);
  auto waiting = set.wait();
  const int n = co_await std::move(waiting);
  co_return n == SIGUSR1 ? 1 : 0;
}
TEST_P(MemoryOfIo, IsShortWhileASignalIsAwaited) {
  // It may come after its set was given up.
  const auto before = std::signal(SIGUSR1, SIG_IGN);
  check("signal_set", signals, 1);
  (void)std::signal(SIGUSR1, before);
}

h::task<int> resolves() {
  auto looking = h::resolve("localhost", 80);
  const auto found = co_await std::move(looking);
  co_return found.empty() ? 0 : 1;
}
TEST_P(MemoryOfIo, IsShortWhileANameIsResolved) { check("resolve", resolves, 1); }

/// Each name has two addresses: one that refuses, and that of the echo. Both are tried.
class two_addresses final : public h::resolver {
 public:
  explicit two_addresses(std::uint16_t port) : port_(port) {}
  h::task<h::name_answer> look_up(h::name_query) override {
    h::name_answer a;
    a.addresses.push_back(h::address::ip("127.0.0.77", port_));
    a.addresses.push_back(h::address::ip("127.0.0.1", port_));
    co_return a;
  }

 private:
  const std::uint16_t port_;
};

h::task<int> talk_to_a_name(std::uint16_t port, h::connection_options how) {
  h::set_resolver(std::make_shared<two_addresses>(port));
  auto opening = h::open_connection("x.test", 80, how);
  auto c = co_await std::move(opening);
  auto saying = say_a_line(std::move(c));
  const int heard = co_await std::move(saying);
  co_return heard;
}
TEST_P(MemoryOfIo, IsShortWhileTheAddressesOfANameRace) {
  const plain_echo peer;
  h::connection_options how;
  how.attempt_delay = 1h;
  check("a race", [&] { return talk_to_a_name(peer.port(), how); }, 1);
  how.connect_limit = 1h;
  how.attempt_delay = 0h;
  check("a race within a limit", [&] { return talk_to_a_name(peer.port(), how); }, 1);
  how.resolution_delay = 1h;
  check("a race by family", [&] { return talk_to_a_name(peer.port(), how); }, 1);
}

h::task<int> runs_a_process() {
  h::process_options o;
  o.stdin = h::stdio::pipe;
  o.stdout = h::stdio::pipe;
  std::vector<std::string> command;
  command.emplace_back("cat");
  auto starting = h::create_subprocess_exec(command, o);
  auto p = co_await std::move(starting);
  p.stdin.write("some data");
  p.stdin.close();
  auto reading = p.stdout.read();
  const std::string all = co_await std::move(reading);
  auto ending = p.wait();
  const int code = co_await std::move(ending);
  co_return all == "some data" && code == 0 ? 1 : 0;
}
TEST_P(MemoryOfIo, IsShortAroundAProcess) { check("process", runs_a_process, 1); }

h::task<int> communicates() {
  h::process_options o;
  o.stdin = h::stdio::pipe;
  o.stdout = h::stdio::pipe;
  o.stderr = h::stdio::pipe;
  auto starting = h::create_subprocess_shell("cat; echo oops >&2", o);
  auto p = co_await std::move(starting);
  auto talking = p.communicate(std::string(3000, 'x'));
  const auto out = co_await std::move(talking);
  int right = 0;
  if (out.stdout && out.stdout->size() == 3000) right += 1;
  if (out.stderr && *out.stderr == "oops\n") right += 2;
  if (p.returncode() == 0) right += 4;
  co_return right;
}
TEST_P(MemoryOfIo, IsShortWhileOneCommunicatesWithAProcess) {
  check("communicate", communicates, 7);
  // What could not be given to a handle was killed and reaped.
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

/// Both ends of a pair of sockets.
struct socket_pair {
  int ends[2] = {-1, -1};
  socket_pair() { (void)::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends); }
  socket_pair(const socket_pair&) = delete;
  ~socket_pair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
};

/// What the handlers below count. They may be called after the program that added them has ended.
struct calls {
  std::atomic<int> read = 0, written = 0, signalled = 0;
};

/// Until `counter` is no zero. What a handler waits for is made to happen again by `again`: a call
/// that finds no memory may be lost, but not those that come later.
template <class F>
h::task<bool> comes(std::shared_ptr<calls> all, std::atomic<int> calls::* counter, F again) {
  for (int i = 0; i < 2000 && (all.get()->*counter).load() == 0; ++i) {
    again();
    co_await h::sleep(1ms);
  }
  co_return (all.get()->*counter).load() != 0;
}

h::task<int> watches_a_descriptor() {
  socket_pair pair;
  struct watch {
    h::loop& home = h::current_loop();
    int descriptor;
    ~watch() {
      (void)home.remove_reader(descriptor);
      (void)home.remove_writer(descriptor);
    }
  } const at_end{.descriptor = pair.ends[0]};
  auto all = std::make_shared<calls>();
  const int from = pair.ends[0];
  at_end.home.add_reader(from, [all, from] {
    char bytes[64];
    if (::recv(from, bytes, sizeof bytes, 0) > 0) ++all->read;
  });
  auto sending = comes(all, &calls::read, [&] { (void)!::send(pair.ends[1], "x", 1, 0); });
  const bool read = co_await std::move(sending);
  at_end.home.add_writer(from, [all, from, home = &at_end.home] {
    if (++all->written == 1) (void)home->remove_writer(from);
  });
  auto waiting = comes(all, &calls::written, [] {});
  const bool written = co_await std::move(waiting);
  co_return (read ? 1 : 0) + (written ? 2 : 0);
}
TEST_P(MemoryOfIo, IsShortWhileADescriptorIsWatched) {
  check("add_reader, add_writer", watches_a_descriptor, 3);
}

h::task<int> handles_a_signal() {
  struct watch {
    h::loop& home = h::current_loop();
    ~watch() { (void)home.remove_signal_handler(SIGUSR2); }
  } const at_end;
  auto all = std::make_shared<calls>();
  at_end.home.add_signal_handler(SIGUSR2, [all] { ++all->signalled; });
  auto waiting = comes(all, &calls::signalled, [] { (void)::kill(::getpid(), SIGUSR2); });
  const bool came = co_await std::move(waiting);
  co_return came ? 1 : 0;
}
TEST_P(MemoryOfIo, IsShortWhileASignalIsHandled) {
  const auto before = std::signal(SIGUSR2, SIG_IGN);
  check("add_signal_handler", handles_a_signal, 1);
  (void)std::signal(SIGUSR2, before);
}

}  // namespace
