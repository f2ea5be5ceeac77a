// SPDX-License-Identifier: MIT
// Memory runs out anywhere: each verb of io, with each of its allocations failing.
#include "memory/shortage.h"

#include <heddle/io/memory_pair.h>
#include <heddle/io/process.h>
#include <heddle/io/resolve.h>
#include <heddle/io/signal_set.h>
#include <heddle/io/stream.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace memory;

struct kind {
  h::reactor_kind reactor;
  unsigned loops;
};

std::vector<kind> kinds() {
  std::vector<kind> all{{h::reactor_kind::epoll, 1}, {h::reactor_kind::epoll, 2}};
  std::string note;
  if (h::detail::choose_reactor(h::reactor_kind::automatic, note) == h::reactor_kind::uring)
    all.push_back({h::reactor_kind::uring, 2});
  return all;
}

class MemoryOfIo : public testing::TestWithParam<kind> {
 protected:
  static void check(const char* program, const std::function<h::task<int>()>& f, int expected) {
    survives({program, GetParam().loops, GetParam().reactor}, f, expected);
  }
};
INSTANTIATE_TEST_SUITE_P(, MemoryOfIo, testing::ValuesIn(kinds()),
                         [](const testing::TestParamInfo<kind>& p) {
                           return std::string(p.param.reactor == h::reactor_kind::epoll ? "epoll"
                                                                                        : "uring") +
                                  "_" + std::to_string(p.param.loops);
                         });

h::task<int> talk(std::uint16_t port) {
  auto opening = h::open_connection("127.0.0.1", port);
  auto c = co_await std::move(opening);
  const std::string said = std::string(3000, 'x') + "\n";
  c.writer.write(said);
  co_await c.writer.drain();
  const std::string answer = co_await c.reader.read_line();
  c.writer.close();
  co_await c.writer.wait_closed();
  co_return answer == said ? 1 : 0;
}

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

}  // namespace
