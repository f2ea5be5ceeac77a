// SPDX-License-Identifier: MIT
// Signals: a shower of them interrupts no call for good, and a broken pipe ends nobody.
#include "fault_cases.h"

#include <heddle/io/datagram.h>
#include <heddle/io/file.h>
#include <heddle/io/pipe.h>
#include <heddle/io/process.h>
#include <heddle/io/resolve.h>
#include <heddle/sched/to_thread.h>

#include <filesystem>
#include <thread>

#include <sys/syscall.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_FAULT_SIGNALS);

std::atomic<int> heard{0};

/// Every millisecond each thread of this program gets a signal, whose handler does next to nothing.
/// A call that waits ends with EINTR.
class shower {
 public:
  shower() {
    heard = 0;
    struct sigaction act{};
    act.sa_handler = [](int) { ++heard; };
    (void)::sigaction(SIGUSR2, &act, &before_);  // without SA_RESTART
    thread_ = std::thread([this] {
      while (!stops_) {
        signal_all();
        std::this_thread::sleep_for(1ms);
      }
    });
  }
  shower(const shower&) = delete;
  ~shower() {
    stops_ = true;
    thread_.join();
    // A thread that blocks the signal may have one pending: it would end the program.
    (void)std::signal(SIGUSR2, SIG_IGN);
    (void)::sigaction(SIGUSR2, &before_, nullptr);
  }

 private:
  static void signal_all() {
    std::error_code gone;
    for (std::filesystem::directory_iterator i("/proc/self/task", gone), end; i != end && !gone;
         i.increment(gone)) {
      const long thread = std::strtol(i->path().filename().c_str(), nullptr, 10);
      (void)::syscall(SYS_tgkill, ::getpid(), thread, SIGUSR2);
    }
  }
  struct sigaction before_{};
  std::atomic<bool> stops_{false};
  std::thread thread_;
};

h::task<> once_by_stream(std::uint16_t port, std::string text) {
  auto c = co_await h::open_connection("127.0.0.1", port);
  const std::string blob(50'000, text[0]);
  c.writer.write(blob);
  const std::string got = co_await c.reader.read_exactly(50'000);
  HOLDS(got == blob);
  c.writer.write_eof();
  EQUAL(co_await c.reader.read(), "");
}

h::task<> once_by_tls(std::uint16_t port) {
  auto connecting = h::open_connection("localhost", port, by_tls());
  auto c = co_await connecting;
  EQUAL(co_await talk(c, "sealed"), "sealed\n");
  c.writer.close();
}

h::task<> once_by_file(std::string path) {
  const std::string blob(200'000, 'f');
  auto writing = h::write_file(path, blob);
  co_await writing;
  const std::string got = co_await h::read_file(path);
  HOLDS(got == blob);
  std::filesystem::remove(path);
}

h::task<> once_by_datagram() {
  auto server = h::datagram_socket::bind(h::address::ip("127.0.0.1", 0));
  auto client = h::datagram_socket::connect(server.local_address());
  co_await client.send("one");
  co_await client.send("two");
  EQUAL((co_await server.receive()).bytes, "one");
  EQUAL((co_await server.receive()).bytes, "two");
}

h::task<> once_by_child() {
  h::process_options o;
  o.stdin = h::stdio::pipe;
  o.stdout = h::stdio::pipe;
  auto command = words("/bin/cat");
  auto starting = h::create_subprocess_exec(std::move(command), std::move(o));
  auto p = co_await starting;
  auto talking = p.communicate(std::string(100'000, 'c'));
  const h::process_output all = co_await talking;
  HOLDS(all.stdout == std::string(100'000, 'c'));
  EQUAL(co_await p.wait(), 0);
}

h::task<> once_by_thread() {
  std::atomic<int> calls{0};
  auto job = h::to_thread([&calls] { return ++calls; });
  EQUAL(co_await job, 1);
  EQUAL((co_await h::resolve("127.0.0.1", 80)).size(), 1u);
}

TEST_P(IO_FAULT_SIGNALS, IO_FAULT_07_AShowerOfSignalsFailsAndDoublesNoCall) {
  run([]() -> h::task<> {
    const shower rain;
    auto s = co_await h::start_server(serve_echo, "127.0.0.1", 0);
    auto starting = h::start_server(serve_echo, "127.0.0.1", 0, with_tls());
    auto secured = co_await starting;
    const auto path = fresh_path("shower");
    for (int round = 0; round < 3; ++round) {
      std::vector<h::task_handle<>> all;
      all.push_back(h::create_task(once_by_stream(s.port(), "a")));
      all.push_back(h::create_task(once_by_stream(s.port(), "b")));
      all.push_back(h::create_task(once_by_tls(secured.port())));
      all.push_back(h::create_task(once_by_file(path)));
      all.push_back(h::create_task(once_by_datagram()));
      all.push_back(h::create_task(once_by_child()));
      all.push_back(h::create_task(once_by_thread()));
      for (auto& t : all) co_await t;
    }
    co_await until([] { return heard > 10; });
  });
  EQUAL(report_count(), 0u);
}

// --- SIGPIPE ---

/// SIGPIPE ends this program, while one lives.
class deadly_pipes {
 public:
  deadly_pipes() : before_(std::signal(SIGPIPE, SIG_DFL)) {}
  deadly_pipes(const deadly_pipes&) = delete;
  ~deadly_pipes() { (void)std::signal(SIGPIPE, before_); }

 private:
  void (*before_)(int);
};

/// A thread that no runtime knows writes until the writer has heard of the broken connection.
void write_elsewhere(h::stream_writer& w) {
  std::thread([&w] {
    sigset_t none;  // the threads of a pool block SIGPIPE, and so this one would
    sigemptyset(&none);
    (void)::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    for (int i = 0; i < 10'000 && !w.is_closing() && w.native_handle() >= 0; ++i) {
      w.write("to nobody");
      std::this_thread::sleep_for(100us);
    }
    sigset_t pending;
    (void)::sigpending(&pending);
    EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
  }).join();
}

/// Blocks the loop that calls it; so it is called by a thread of to_thread.
h::task<int> write_to_the_broken(h::stream_writer& w) {
  co_await h::to_thread([&w] { write_elsewhere(w); });
  w.write("to nobody");
  co_return co_await code_of_end(w);
}

h::task<> broken_by_unix() {
  int both[2] = {-1, -1};
  EQUAL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
  auto c = co_await h::adopt_connection(both[0]);
  ::close(both[1]);
  EQUAL(co_await write_to_the_broken(c.writer), EPIPE);
}

h::task<> broken_by_tcp() {
  auto e = co_await connect_raw();
  e.peer.reset();
  const int code = co_await write_to_the_broken(e.here.writer);
  HOLDS(code == EPIPE || code == ECONNRESET);
}

h::task<> broken_by_tls() {
  auto e = co_await connect_tls_ends();
  e.server.writer.abort();
  const int code = co_await write_to_the_broken(e.client.writer);
  HOLDS(code == EPIPE || code == ECONNRESET);
}

h::task<> broken_by_pipe() {
  auto p = h::make_pipe();
  p.reader.close();
  EQUAL(co_await write_to_the_broken(p.writer), EPIPE);
}

h::task<> broken_by_child() {
  h::process_options o;
  o.stdin = h::stdio::pipe;
  auto command = words("/bin/true");
  auto starting = h::create_subprocess_exec(std::move(command), std::move(o));
  auto p = co_await starting;
  EQUAL(co_await p.wait(), 0);
  EQUAL(co_await write_to_the_broken(p.stdin), EPIPE);
}

TEST_P(IO_FAULT_SIGNALS, IO_FAULT_14_AForeignThreadThatWritesToTheBrokenLives) {
  const deadly_pipes on;
  run([]() -> h::task<> {
    co_await broken_by_unix();
    co_await broken_by_tcp();
    co_await broken_by_tls();
    co_await broken_by_pipe();
    co_await broken_by_child();
  });
  // The thread that ran it has no such signal pending either.
  sigset_t pending;
  (void)::sigpending(&pending);
  EQUAL(::sigismember(&pending, SIGPIPE), 0);
}

}  // namespace
