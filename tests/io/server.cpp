// SPDX-License-Identifier: MIT
#include "io/runtime.h"
#include "support/streams.h"

#include <heddle/sync/event.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>

namespace {

using namespace io_test;
using support::swallow;

class Server : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, Server, testing::ValuesIn(all_setups()), name_of);

h::task<> echo(h::stream_reader r, h::stream_writer w) {
  while (co_await r.fill()) {
    const auto bytes = r.buffered();
    w.write(bytes);
    r.consume(bytes.size());
    co_await w.drain();
  }
}

h::task<std::string> ask(std::uint16_t port, std::string line) {
  auto c = co_await h::open_connection("127.0.0.1", port);
  c.writer.write(line + "\n");
  co_return co_await c.reader.read_line();
}

h::task<> serve_forever(h::server& s) { co_await s.serve_forever(); }
h::task<> join(h::task_handle<void> t) { co_await t; }

/// A path for a Unix socket that nothing stands at.
std::string fresh_path(const char* what) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("heddle-" + std::to_string(::getpid()) + "-" + what + ".sock");
  std::filesystem::remove(path);
  return path;
}

TEST_P(Server, EchoesWithACoroutineAndWithAPlainCallback) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, "127.0.0.1", 0);
    EXPECT_EQ(co_await ask(s.port(), "hello"), "hello\n");
    auto plain = [](h::stream_reader r, h::stream_writer w) {
      (void)h::create_task(echo(std::move(r), std::move(w)));
    };
    auto s2 = co_await h::start_server(plain, "127.0.0.1", 0);
    EXPECT_EQ(co_await ask(s2.port(), "hello again"), "hello again\n");
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(Server, ServesOnlyOnceItIsTold) {
  run([]() -> h::task<> {
    h::server_options later;
    later.start_serving = false;
    auto s = co_await h::start_server(echo, "127.0.0.1", 0, later);
    EXPECT_FALSE(s.is_serving());
    EXPECT_EQ(code_of(co_await error_of(ask(s.port(), "too early"))), ECONNREFUSED);
    s.start_serving();
    s.start_serving();
    EXPECT_TRUE(s.is_serving());
    EXPECT_EQ(co_await ask(s.port(), "now"), "now\n");
  });
}

TEST_P(Server, ClosesAndWaitsForItsClientsWhenServingIsCancelled) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, "127.0.0.1", 0);
    const auto port = s.port();
    auto c = co_await h::open_connection("127.0.0.1", port);
    c.writer.write("x\n");
    (void)co_await c.reader.read_line();
    auto serving = h::create_task(serve_forever(s));
    co_await until([&] { return waits(serving); });
    serving.cancel();
    co_await until([&] { return s.sockets().empty(); });
    EXPECT_FALSE(serving.done());
    c.writer.close();
    EXPECT_TRUE(is<h::cancelled_error>(co_await error_of(join(serving))));
    EXPECT_EQ(s.connections(), 0u);
  });
}

TEST_P(Server, RefusesToServeForeverTwiceOrWhenClosed) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, "127.0.0.1", 0);
    auto serving = h::create_task(serve_forever(s));
    co_await until([&] { return waits(serving); });
    EXPECT_TRUE(is<h::usage_error>(co_await error_of(s.serve_forever())));
    s.close();
    EXPECT_TRUE(is<h::cancelled_error>(co_await error_of(join(serving))));
    EXPECT_TRUE(is<h::usage_error>(co_await error_of(s.serve_forever())));
    EXPECT_THROW(s.start_serving(), h::usage_error);
  });
}

TEST_P(Server, LetsLiveConnectionsWorkOnAfterItClosed) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, "127.0.0.1", 0);
    const auto port = s.port();
    auto c = co_await h::open_connection("127.0.0.1", port);
    c.writer.write("one\n");
    EXPECT_EQ(co_await c.reader.read_line(), "one\n");
    s.close();
    s.close();
    EXPECT_EQ(code_of(co_await error_of(ask(port, "anybody?"))), ECONNREFUSED);
    c.writer.write("two\n");
    EXPECT_EQ(co_await c.reader.read_line(), "two\n");
    c.writer.close();
    co_await s.wait_closed();
  });
}

TEST_P(Server, ClosesOrAbortsItsClientsAtOnceWhenAsked) {
  run([]() -> h::task<> {
    auto push = [](h::stream_reader r, h::stream_writer w) -> h::task<> {
      const std::string block(1'000'000, 'p');
      for (int i = 0; i < 20; ++i) w.write(block);
      while (co_await r.fill()) r.consume(r.buffered().size());
    };
    auto quiet = co_await h::start_server(echo, "127.0.0.1", 0);
    auto pushing = co_await h::start_server(push, "127.0.0.1", 0);
    auto a = co_await h::open_connection("127.0.0.1", quiet.port());
    auto b = co_await h::open_connection("127.0.0.1", pushing.port());
    co_await until([&] { return quiet.connections() == 1 && pushing.connections() == 1; });
    quiet.close();
    quiet.close_clients();
    co_await quiet.wait_closed();
    EXPECT_EQ(co_await a.reader.read(), "");
    pushing.close();
    pushing.abort_clients();
    co_await pushing.wait_closed();
  });
}

TEST_P(Server, ReportsAHandlersErrorOnceAndGoesOn) {
  run([]() -> h::task<> {
    auto handle = [](h::stream_reader r, h::stream_writer w) -> h::task<> {
      const std::string line = co_await r.read_line();
      if (line == "throw\n") throw std::runtime_error("as told");
      w.write(line);
    };
    auto s = co_await h::start_server(handle, "127.0.0.1", 0);
    EXPECT_EQ(co_await ask(s.port(), "throw"), "");
    EXPECT_EQ(co_await ask(s.port(), "echo"), "echo\n");
  });
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports.front(), "unhandled exception in connection handler");
}

TEST_P(Server, KeepsQuietAboutACancelledHandler) {
  run([]() -> h::task<> {
    auto handle = [](h::stream_reader r, h::stream_writer) -> h::task<> {
      (void)co_await r.read_line();
      h::current_task().cancel();
      co_await h::sleep(10s);
    };
    auto s = co_await h::start_server(handle, "127.0.0.1", 0);
    EXPECT_EQ(co_await ask(s.port(), "bye"), "");
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(Server, KeepsItsHandlersCapturesWhileConnectionsLive) {
  run([]() -> h::task<> {
    auto text = std::make_shared<std::string>("captured ");
    auto handle = [text](h::connection c) -> h::task<> {
      const auto line = co_await c.reader.read_line();
      c.writer.write(*text + line);
    };
    auto starting = h::start_server(std::move(handle), "127.0.0.1", 0);
    auto s = co_await std::move(starting);
    text.reset();
    auto c = co_await h::open_connection("127.0.0.1", s.port());
    co_await until([&] { return s.connections() == 1; });
    { const h::server gone = std::move(s); }
    c.writer.write("word\n");
    EXPECT_EQ(co_await c.reader.read(), "captured word\n");
  });
}

TEST_P(Server, NamesTheAddressThatIsInUseAndLeavesNothingListening) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, "127.0.0.1", 0);
    const auto before = open_descriptors();
    const auto error = co_await error_of(h::start_server(echo, "127.0.0.1", s.port()));
    EXPECT_EQ(code_of(error), EADDRINUSE);
    EXPECT_NE(h::describe(error).find("bind 127.0.0.1:" + std::to_string(s.port())),
              std::string::npos)
        << h::describe(error);
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(co_await ask(s.port(), "still here"), "still here\n");
  });
}

TEST_P(Server, RefusesABacklogOrALimitBelowOne) {
  run([]() -> h::task<> {
    h::server_options o;
    o.backlog = 0;
    EXPECT_TRUE(is<h::bad_value>(co_await error_of(h::start_server(echo, "127.0.0.1", 0, o))));
    h::server_options p;
    p.limit = 0;
    EXPECT_TRUE(is<h::bad_value>(co_await error_of(h::start_server(echo, "127.0.0.1", 0, p))));
  });
}

TEST_P(Server, HasOneListenerForEachLoop) {
  const unsigned loops = GetParam().loops;
  run([loops]() -> h::task<> {
    auto s = co_await h::start_server(echo, "127.0.0.1", 0);
    EXPECT_EQ(s.sockets().size(), loops);
    EXPECT_EQ(s.addresses().size(), 1u);
    // Enough connections that each listener gets some.
    std::vector<h::task_handle<std::string>> clients;
    for (int i = 0; i < 64; ++i)
      clients.push_back(h::create_task(ask(s.port(), std::to_string(i))));
    for (int i = 0; i < 64; ++i) {
      const auto answer = co_await clients[static_cast<std::size_t>(i)];
      EXPECT_EQ(answer, std::to_string(i) + "\n");
    }
    s.close();
    co_await s.wait_closed();
    EXPECT_TRUE(s.sockets().empty());
  });
}

TEST_P(Server, TakesABurstOfConnections) {
  run([]() -> h::task<> {
    std::atomic<int> served{0};
    auto count = [&served](h::stream_reader, h::stream_writer w) {
      ++served;
      w.write("!");
    };
    auto s = co_await h::start_server(count, "127.0.0.1", 0);
    std::vector<h::task_handle<h::connection>> burst;
    for (int i = 0; i < 200; ++i)
      burst.push_back(h::create_task(h::open_connection("127.0.0.1", s.port())));
    for (auto& b : burst) {
      auto c = co_await std::move(b);
      EXPECT_EQ(co_await c.reader.read(), "!");
    }
    EXPECT_EQ(served.load(), 200);
    s.close();
    co_await s.wait_closed();
  });
}

// A ring's connections share its buffers. If unread bytes kept the buffers, an echo whose two ends
// are on one loop would stop for ever: the end that has the buffers reads on only when its peer has
// received.
TEST_P(Server, ServesAConnectionWhileOthersLeaveMuchUnread) {
  run([]() -> h::task<> {
    h::event may_read;
    std::atomic<int> begun{0};
    auto serve = [&](h::stream_reader r, h::stream_writer w) -> h::task<> {
      const std::string first = co_await r.read(1);
      if (first == "e") co_return co_await echo(std::move(r), std::move(w));
      ++begun;
      co_await may_read.wait();
      const auto rest = co_await swallow(r);
      w.write(std::to_string(rest));
    };
    auto s = co_await h::start_server(serve, "127.0.0.1", 0);
    constexpr int others = 24;
    const std::string much(512 * 1024, 'm');
    std::vector<h::connection> unread;
    for (int i = 0; i < others; ++i) {
      h::connection c = co_await h::open_connection("127.0.0.1", s.port());
      c.writer.write(much);
      c.writer.write_eof();
      unread.push_back(std::move(c));
    }
    co_await until([&] { return begun == others; });
    for (int i = 0; i < 8; ++i) {
      h::connection c = co_await h::open_connection("127.0.0.1", s.port());
      c.writer.write("e" + much);
      c.writer.write_eof();
      const auto n = co_await swallow(c.reader);
      EXPECT_EQ(n, much.size());
    }
    may_read.set();
    for (auto& c : unread) {
      const std::string got = co_await c.reader.read();
      EXPECT_EQ(got, std::to_string(much.size() - 1));
    }
  });
}

TEST_P(Server, PausesAndGoesOnWhenDescriptorsRunOut) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  run([this, &before]() -> h::task<> {
    auto s = co_await h::start_server(echo, "127.0.0.1", 0);
    const auto port = s.port();
    // An accept that finds nobody has had a descriptor too, for a moment.
    co_await until(everybody_else_waits);
    // The client's socket is made first; then not one more descriptor may be had.
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(client) + 1;
    std::vector<int> holes;
    for (;;) {
      const int d = ::dup(client);
      if (d > client || d < 0) {
        if (d >= 0) ::close(d);
        break;
      }
      holes.push_back(d);
    }
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto at = h::address::ip("127.0.0.1", port);
    EXPECT_EQ(::connect(client, at.data(), at.size()), 0);
    co_await until([this] { return report_count.load() > 0; });
    EXPECT_EQ(s.connections(), 0u);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    for (const int d : holes) ::close(d);
    co_await until([&] { return s.connections() == 1; });
    ::close(client);
  });
  EXPECT_EQ(reports.size(), 1u);
}

TEST_P(Server, ListensAtAUnixSocketAndRemovesItsPath) {
  run([]() -> h::task<> {
    const auto path = fresh_path("plain");
    auto s = co_await h::start_unix_server(echo, path);
    auto c = co_await h::open_unix_connection(path);
    c.writer.write("over unix\n");
    EXPECT_EQ(co_await c.reader.read_line(), "over unix\n");
    EXPECT_EQ(s.addresses().front().to_string(), path);
    s.close();
    EXPECT_FALSE(std::filesystem::exists(path));
  });
}

TEST_P(Server, LeavesAPathAloneThatIsNoLongerItsOwn) {
  run([]() -> h::task<> {
    const auto path = fresh_path("replaced");
    auto first = co_await h::start_unix_server(echo, path);
    std::filesystem::remove(path);
    auto second = co_await h::start_unix_server(echo, path);
    first.close();
    EXPECT_TRUE(std::filesystem::exists(path));
    std::filesystem::remove(path);
    second.close();
    h::server_options keep;
    keep.cleanup_socket = false;
    auto third = co_await h::start_unix_server(echo, path, keep);
    third.close();
    EXPECT_TRUE(std::filesystem::exists(path));
    // Stale now: the next one replaces it.
    auto fourth = co_await h::start_unix_server(echo, path);
    auto c = co_await h::open_unix_connection(path);
    c.writer.write("fresh\n");
    EXPECT_EQ(co_await c.reader.read_line(), "fresh\n");
  });
}

TEST_P(Server, ReplacesNeitherAFileNorALivingUnixServer) {
  run([]() -> h::task<> {
    const auto path = fresh_path("file");
    { std::ofstream(path) << "precious"; }
    EXPECT_EQ(code_of(co_await error_of(h::start_unix_server(echo, path))), EADDRINUSE);
    EXPECT_EQ(std::filesystem::file_size(path), 8u);
    std::filesystem::remove(path);
    auto s = co_await h::start_unix_server(echo, path);
    EXPECT_EQ(code_of(co_await error_of(h::start_unix_server(echo, path))), EADDRINUSE);
    auto c = co_await h::open_unix_connection(path);
    c.writer.write("alive\n");
    EXPECT_EQ(co_await c.reader.read_line(), "alive\n");
  });
}

h::task<> noisy_client(std::uint16_t port, std::atomic<bool>& stop, unsigned seed) {
  while (!stop.load()) {
    try {
      auto c = co_await h::open_connection("127.0.0.1", port);
      for (unsigned i = 0; i < 1 + seed % 7 && !stop.load(); ++i) {
        c.writer.write("line " + std::to_string(i) + "\n");
        if ((co_await c.reader.read_line()).empty()) break;
      }
      if (seed % 3 == 0) c.writer.abort();
      seed = seed * 1103515245 + 12345;
    } catch (const std::system_error&) {
      // The server went, or reset us: what this test is about.
    }
    co_await h::yield_now();
  }
}

TEST_P(Server, EndsEveryConnectionWhenItIsClosedUnderLoadFromElsewhere) {
  run([]() -> h::task<> {
    std::atomic<int> begun{0}, ended{0};
    auto counting = [&](h::stream_reader r, h::stream_writer w) -> h::task<> {
      ++begun;
      struct at_end {
        std::atomic<int>& n;
        ~at_end() { ++n; }
      } count{ended};
      try {
        while (co_await r.fill()) {
          w.write(r.buffered());
          r.consume(r.buffered().size());
          co_await w.drain();
        }
      } catch (const std::system_error&) {
        // reset by the client or aborted by us
      }
    };
    for (int round = 0; round < 3; ++round) {
      auto s = co_await h::start_server(counting, "127.0.0.1", 0);
      std::atomic<bool> stop{false};
      std::vector<h::task_handle<void>> clients;
      for (unsigned i = 0; i < 60; ++i)
        clients.push_back(h::create_task(noisy_client(s.port(), stop, i)));
      const int before = begun.load();
      co_await until([&] { return begun.load() > before + 300; });
      auto closing = h::create_task(
          [](h::server& it, bool hard) -> h::task<> {
            it.close();
            hard ? it.abort_clients() : it.close_clients();
            co_await it.wait_closed();
          },
          std::ref(s), round % 2 == 0);
      co_await closing;
      stop = true;
      for (auto& c : clients) co_await c;
      EXPECT_EQ(s.connections(), 0u);
    }
    co_await until([&] { return begun.load() == ended.load(); });
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(Server, CutsConnectionsOffWhileTheyReadAndWriteWithoutALoss) {
  run([]() -> h::task<> {
    std::atomic<int> begun{0}, ended{0};
    auto handle = [&](h::stream_reader r, h::stream_writer w) -> h::task<> {
      ++begun;
      struct at_end {
        std::atomic<int>& n;
        ~at_end() { ++n; }
      } count{ended};
      auto reading = h::create_task(echo(std::move(r), std::move(w)));
      co_await h::sleep(std::chrono::microseconds(50 * (ended.load() % 20)));
      reading.cancel();
      (void)co_await error_of(join(reading));
    };
    auto s = co_await h::start_server(handle, "127.0.0.1", 0);
    std::atomic<bool> stop{false};
    std::vector<h::task_handle<void>> clients;
    for (unsigned i = 0; i < 30; ++i)
      clients.push_back(h::create_task(noisy_client(s.port(), stop, i)));
    co_await until([&] { return ended.load() > 1000; });
    stop = true;
    s.close();
    for (auto& c : clients) co_await c;
    co_await s.wait_closed();
    co_await until([&] { return begun.load() == ended.load(); });
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

}  // namespace
