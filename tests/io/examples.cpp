// SPDX-License-Identifier: MIT
// The examples at the heads of io's public headers, line by line.
#include "io/runtime.h"

#include <heddle/io/address.h>
#include <heddle/io/memory_pair.h>
#include <heddle/io/process.h>
#include <heddle/io/resolve.h>
#include <heddle/io/server.h>
#include <heddle/io/signal_set.h>
#include <heddle/io/stream.h>

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace io_test;

class Examples : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, Examples, testing::ValuesIn(all_setups()), name_of);

h::task<> handle(h::stream_reader r, h::stream_writer w) {
  const std::string line = co_await r.read_line();
  w.write(line);
  co_await w.drain();
}

TEST_P(Examples, AnAddress) {
  const h::address at = h::address::ip("127.0.0.1", 80);
  EXPECT_TRUE(at.to_string() == "127.0.0.1:80");
}

h::task<std::string> ask(std::uint16_t port) {
  auto c = co_await h::open_connection("127.0.0.1", port);
  c.writer.write("hello\n");
  co_await c.writer.drain();
  const std::string line = co_await c.reader.read_line();
  co_return line;
}

TEST_P(Examples, AServerAndAConnection) {
  run([]() -> h::task<> {
    std::atomic<std::uint16_t> port{0};
    auto serve = [&]() -> h::task<> {
      auto s = co_await h::start_server(handle, "127.0.0.1", 0);
      port = s.port();
      co_await s.serve_forever();
    };
    auto serving = h::create_task(serve);
    co_await until([&] { return port != 0; });
    const std::string answer = co_await ask(port);
    EXPECT_EQ(answer, "hello\n");
    serving.cancel();
    co_await support::until_done(serving);
  });
}

TEST_P(Examples, AServerWithOptions) {
  run([]() -> h::task<> {
    h::server_options o;
    o.reuse_port = false;
    h::server s = co_await h::start_server(handle, "127.0.0.1", 0, o);
    EXPECT_EQ(s.sockets().size(), 1u);
    const std::string answer = co_await ask(s.port());
    EXPECT_EQ(answer, "hello\n");
  });
}

TEST_P(Examples, AMemoryPair) {
  run([]() -> h::task<> {
    auto [client, server] = h::memory_pair();
    client.writer.write("hello\n");
    const std::string line = co_await server.reader.read_line();
    EXPECT_EQ(line, "hello\n");
  });
}

TEST_P(Examples, AProcess) {
  run([]() -> h::task<> {
    h::process_options piped;
    piped.stdout = h::stdio::pipe;
    auto p = co_await h::create_subprocess_exec(piped, "echo", "-n", "a", "b");
    const std::string text = co_await p.stdout.read();
    const int code = co_await p.wait();
    EXPECT_EQ(text, "a b");
    EXPECT_EQ(code, 0);
  });
}

TEST_P(Examples, AName) {
  run([]() -> h::task<> {
    h::resolve_options how;
    how.family = AF_INET;
    const std::vector<h::address> found = co_await h::resolve("localhost", 80, how);
    EXPECT_FALSE(found.empty());
    for (const auto& at : found) EXPECT_EQ(at.port(), 80);
  });
}

TEST_P(Examples, AResolver) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(handle, "127.0.0.1", 0);
    h::set_resolver([](const h::name_query& q) {
      h::name_answer a;
      if (q.host != "db.test") h::throw_name_error(h::name_error::no_such_name, q.host);
      a.addresses.push_back(h::address::ip("127.0.0.1", q.port));
      return a;
    });
    h::connection_options o;
    o.connect_limit = 30s;
    o.socket.keep_alive = 30s;
    o.socket.unsent_limit = 16 * 1024;
    auto c = co_await h::open_connection("db.test", s.port(), o);
    c.writer.write("hello\n");
    const std::string line = co_await c.reader.read_line();
    EXPECT_EQ(line, "hello\n");
  });
}

TEST_P(Examples, ASignal) {
  run([]() -> h::task<> {
    h::signal_set stop{SIGINT, SIGTERM};
    EXPECT_EQ(::kill(::getpid(), SIGTERM), 0);
    const int number = co_await stop.wait();
    EXPECT_EQ(number, SIGTERM);
  });
}

}  // namespace
