// SPDX-License-Identifier: MIT
#include "io_cases.h"

#include <fstream>

#include <sys/resource.h>

namespace {

using namespace conformance;

CASES(SRV);

const std::string here = "127.0.0.1";

h::task<> forever(h::server& s) { co_await s.serve_forever(); }
h::task<> closed(h::server& s) { co_await s.wait_closed(); }

TEST_P(SRV, SRV_01_ACoroutineOrAPlainCallbackServes) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0);
    const std::string a = co_await ask(s.port(), "hello");
    EQUAL(a, "hello\n");
    auto plain = [](h::stream_reader r, h::stream_writer w) {
      (void)h::create_task(echo(std::move(r), std::move(w)));
    };
    auto t = co_await h::start_server(plain, here, 0);
    const std::string b = co_await ask(t.port(), "again");
    EQUAL(b, "again\n");
  });
  EQUAL(report_count(), 0u);
}

TEST_P(SRV, SRV_02_ItServesOnceItIsTold) {
  run([]() -> h::task<> {
    h::server_options later;
    later.start_serving = false;
    auto s = co_await h::start_server(echo, here, 0, later);
    HOLDS(!s.is_serving());
    const auto refused = co_await error_of(ask(s.port(), "too early"));
    EQUAL(code_of(refused), ECONNREFUSED);
    s.start_serving();
    HOLDS(s.is_serving());
    s.start_serving();
    HOLDS(s.is_serving());
    const std::string line = co_await ask(s.port(), "now");
    EQUAL(line, "now\n");
  });
}

TEST_P(SRV, SRV_03_CancelledItClosesAndWaitsForItsClients) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0);
    auto c = co_await h::open_connection(here, s.port());
    c.writer.write("x\n");
    (void)co_await c.reader.read_line();
    auto serving = h::create_task(forever, std::ref(s));
    co_await until_waiting(serving);
    serving.cancel();
    co_await until([&] { return s.sockets().empty(); });
    HOLDS(!serving.done());
    HOLDS(!s.is_serving());
    c.writer.close();
    const std::string how = co_await ending(serving);
    EQUAL(how, "Cancelled");
    EQUAL(s.connections(), 0u);
    HOLDS(s.sockets().empty());
  });
}

TEST_P(SRV, SRV_04_TwiceOrClosedItRefuses) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0);
    auto serving = h::create_task(forever, std::ref(s));
    co_await until_waiting(serving);
    const std::string twice = co_await ending(s.serve_forever());
    EQUAL(twice, "Usage");
    s.close();
    const std::string closed_elsewhere = co_await ending(serving);
    EQUAL(closed_elsewhere, "Cancelled: the server was closed");
    const std::string late = co_await ending(s.serve_forever());
    EQUAL(late, "Usage");
    THROWS(h::usage_error, s.start_serving());
  });
}

TEST_P(SRV, SRV_06_LiveConnectionsWorkOnAfterClose) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0);
    const auto port = s.port();
    auto c = co_await h::open_connection(here, port);
    c.writer.write("one\n");
    const std::string one = co_await c.reader.read_line();
    EQUAL(one, "one\n");
    s.close();
    s.close();
    const auto refused = co_await error_of(ask(port, "anybody?"));
    EQUAL(code_of(refused), ECONNREFUSED);
    c.writer.write("two\n");
    const std::string two = co_await c.reader.read_line();
    EQUAL(two, "two\n");
    c.writer.close();
    co_await s.wait_closed();
  });
}

TEST_P(SRV, SRV_09_ItsClientsAreClosedOrAborted) {
  run([]() -> h::task<> {
    std::atomic<std::size_t> buffered{0};
    auto push = [&buffered](h::stream_reader r, h::stream_writer w) -> h::task<> {
      const std::string block(1'000'000, 'p');
      for (int i = 0; i < 20; ++i) w.write(block);
      buffered = w.buffered();
      while (co_await r.fill()) r.consume(r.buffered().size());
    };
    auto quiet = co_await h::start_server(echo, here, 0);
    auto pushing = co_await h::start_server(push, here, 0);
    auto a = co_await h::open_connection(here, quiet.port());
    auto b = co_await h::open_connection(here, pushing.port());
    co_await until([&] { return quiet.connections() == 1 && buffered.load() > 0; });
    quiet.close();
    quiet.close_clients();
    co_await quiet.wait_closed();
    const std::string end = co_await a.reader.read();
    EQUAL(end, "");
    pushing.close();
    pushing.abort_clients();
    co_await pushing.wait_closed();
    EQUAL(pushing.connections(), 0u);
    std::size_t got = 0;
    const auto error = co_await error_of([](h::stream_reader& r, std::size_t& n) -> h::task<> {
      while (co_await r.fill()) {
        n += r.buffered().size();
        r.consume(r.buffered().size());
      }
    }(b.reader, got));
    HOLDS(code_of(error) == ECONNRESET || got < 20'000'000u);
  });
}

TEST_P(SRV, SRV_10_AHandlersErrorIsReportedOnce) {
  run([]() -> h::task<> {
    auto handle = [](h::stream_reader r, h::stream_writer w) -> h::task<> {
      const std::string line = co_await r.read_line();
      if (line == "throw\n") throw error_e();
      w.write(line);
    };
    auto s = co_await h::start_server(handle, here, 0);
    const std::string none = co_await ask(s.port(), "throw");
    EQUAL(none, "");
    const std::string line = co_await ask(s.port(), "echo");
    EQUAL(line, "echo\n");
  });
  EQUAL(report_count(), 1u);
  HOLDS(reports().at(0).message.find("in connection handler") != std::string::npos);
  EQUAL(name_of(reports().at(0).error), "E");
}

TEST_P(SRV, SRV_11_ACancelledHandlerIsNotReported) {
  run([]() -> h::task<> {
    auto handle = [](h::stream_reader r, h::stream_writer) -> h::task<> {
      (void)co_await r.read_line();
      h::current_task().cancel();
      co_await h::sleep(10s);
    };
    auto s = co_await h::start_server(handle, here, 0);
    const std::string none = co_await ask(s.port(), "bye");
    EQUAL(none, "");
  });
  EQUAL(report_count(), 0u);
}

TEST_P(SRV, SRV_12_AUnixServerRemovesItsOwnPathOnly) {
  run([]() -> h::task<> {
    const auto path = fresh_path("srv12");
    auto s = co_await h::start_unix_server(echo, path);
    auto c = co_await h::open_unix_connection(path);
    c.writer.write("over unix\n");
    const std::string line = co_await c.reader.read_line();
    EQUAL(line, "over unix\n");
    c.writer.close();
    s.close();
    HOLDS(!std::filesystem::exists(path));
    // Replaced by another socket.
    auto first = co_await h::start_unix_server(echo, path);
    std::filesystem::remove(path);
    auto second = co_await h::start_unix_server(echo, path);
    first.close();
    HOLDS(std::filesystem::exists(path));
    // Gone already.
    std::filesystem::remove(path);
    second.close();
    co_await second.wait_closed();
    HOLDS(!std::filesystem::exists(path));
    // Told to leave it.
    h::server_options keep;
    keep.cleanup_socket = false;
    auto third = co_await h::start_unix_server(echo, path, keep);
    third.close();
    HOLDS(std::filesystem::exists(path));
    std::filesystem::remove(path);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(SRV, SRV_13_AStaleSocketIsReplacedAFileIsKept) {
  run([]() -> h::task<> {
    const auto path = fresh_path("srv13");
    {
      h::server_options keep;
      keep.cleanup_socket = false;
      auto stale = co_await h::start_unix_server(echo, path, keep);
      stale.close();
    }
    HOLDS(std::filesystem::exists(path));
    auto s = co_await h::start_unix_server(echo, path);
    auto c = co_await h::open_unix_connection(path);
    c.writer.write("fresh\n");
    const std::string line = co_await c.reader.read_line();
    EQUAL(line, "fresh\n");
    c.writer.close();
    s.close();
    { std::ofstream(path) << "precious"; }
    const auto error = co_await error_of(h::start_unix_server(echo, path));
    EQUAL(code_of(error), EADDRINUSE);
    EQUAL(std::filesystem::file_size(path), 8u);
    std::filesystem::remove(path);
  });
}

TEST_P(SRV, SRV_14_AFailedStartNamesTheAddressAndLeavesNothing) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0);
    const auto before = open_descriptors();
    const auto error = co_await error_of(h::start_server(echo, here, s.port()));
    EQUAL(code_of(error), EADDRINUSE);
    HOLDS(h::describe(error).find(here + ":" + std::to_string(s.port())) != std::string::npos);
    EQUAL(open_descriptors(), before);
    // One of several hosts: the one that could be bound does not stay.
    const auto several =
        co_await error_of(h::start_server(echo, words("127.0.0.2", here), s.port()));
    EQUAL(code_of(several), EADDRINUSE);
    HOLDS(h::describe(several).find(here + ":") != std::string::npos);
    EQUAL(open_descriptors(), before);
    const auto refused = co_await error_of(h::open_connection("127.0.0.2", s.port()));
    EQUAL(code_of(refused), ECONNREFUSED);
    auto both = co_await h::start_server(echo, words("127.0.0.2", "127.0.0.3"), 0);
    EQUAL(both.addresses().size(), 2u);
    auto c = co_await h::open_connection("127.0.0.3", both.port());
    c.writer.write("there\n");
    const std::string line = co_await c.reader.read_line();
    EQUAL(line, "there\n");
  });
}

TEST_P(SRV, SRV_15_ABurstIsAcceptedAtOneGo) {
  run([]() -> h::task<> {
    std::atomic<int> served{0};
    auto count = [&served](h::stream_reader, h::stream_writer w) {
      ++served;
      w.write("!");
    };
    h::server_options o;
    o.backlog = 256;
    auto s = co_await h::start_server(count, here, 0, o);
    std::vector<h::task_handle<h::connection>> burst;
    auto connecting = [](std::uint16_t port) -> h::task<h::connection> {
      return h::open_connection(here, port);
    };
    for (int i = 0; i < 200; ++i) burst.push_back(h::create_task(connecting, s.port()));
    for (auto& b : burst) {
      auto c = co_await std::move(b);
      const std::string mark = co_await c.reader.read();
      EQUAL(mark, "!");
    }
    EQUAL(served.load(), 200);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(SRV, SRV_15_OutOfDescriptorsItPausesAndRetries) {
  rlimit before{};
  EQUAL(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::function<std::size_t()> reported = [this] { return report_count(); };
  run(
      [&before](std::function<std::size_t()> reported) -> h::task<> {
        auto s = co_await h::start_server(echo, here, 0);
        const auto at = h::address::ip(here, s.port());
        // An accept that finds nobody has had a descriptor too, for a moment.
        auto all_wait = until([] {
          for (const auto& t : h::all_tasks())
            if (t != h::current_task() && !waits(t)) return false;
          return true;
        });
        co_await std::move(all_wait);
        const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        std::vector<int> holes;
        for (;;) {
          const int d = ::dup(client);
          if (d > client || d < 0) {
            if (d >= 0) ::close(d);
            break;
          }
          holes.push_back(d);
        }
        rlimit none = before;
        none.rlim_cur = static_cast<rlim_t>(client) + 1;
        EQUAL(::setrlimit(RLIMIT_NOFILE, &none), 0);
        EQUAL(::connect(client, at.data(), at.size()), 0);
        auto told = until([&] { return reported() > 0; });
        co_await std::move(told);
        EQUAL(s.connections(), 0u);
        EQUAL(::setrlimit(RLIMIT_NOFILE, &before), 0);
        for (const int d : holes) ::close(d);
        auto accepted = until([&] { return s.connections() == 1; });
        co_await std::move(accepted);
        ::close(client);
      },
      reported);
  (void)::setrlimit(RLIMIT_NOFILE, &before);
  EQUAL(report_count(), 1u);
}

TEST_P(SRV, SRV_16_AfterATimeoutNothingIsWatchedAnyMore) {
  run([]() -> h::task<> {
    auto warm = co_await h::start_server(echo, here, 0);
    const auto before = open_descriptors();
    std::uint16_t port = 0;
    {
      auto s = co_await h::start_server(echo, here, 0);
      port = s.port();
      const std::string how = co_await ending(h::wait_for(s.serve_forever(), 10ms));
      EQUAL(how, "Timeout");
      HOLDS(s.sockets().empty());
      const auto refused = co_await error_of(ask(port, "anybody?"));
      EQUAL(code_of(refused), ECONNREFUSED);
    }
    co_await until([before] { return open_descriptors() <= before; });
    HOLDS(open_descriptors() <= before);
    // The numbers are used again, and nobody mistakes them.
    for (int i = 0; i < 10; ++i) {
      const std::string line = co_await ask(warm.port(), "still");
      EQUAL(line, "still\n");
    }
  });
}

TEST_P(SRV, SRV_17_ManyClientsWhileTheServerClosesFromElsewhere) {
  run([]() -> h::task<> {
    const int clients =
        static_cast<int>(sized(sanitized ? 200 : 800, 9'000));  // of 20,000 descriptors
    std::atomic<int> begun{0}, ended{0}, done{0};
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
        // reset by a client, or closed by us
      }
    };
    auto client = [](std::uint16_t port, std::atomic<int>& done) -> h::task<> {
      try {
        auto c = co_await h::open_connection(here, port);
        for (int i = 0; i < 3; ++i) {
          c.writer.write("line\n");
          const std::string line = co_await c.reader.read_line();
          if (line.empty()) break;
        }
        // Stays until it is closed.
        const std::string rest = co_await c.reader.read();
      } catch (const std::system_error&) {
        // The server went.
      }
      ++done;
    };
    auto s = co_await h::start_server(counting, here, 0);
    for (int i = 0; i < clients; ++i) (void)h::create_task(client, s.port(), std::ref(done));
    co_await until([&] { return begun.load() >= clients / 2; });
    auto closing = h::create_task(
        [](h::server& it) -> h::task<> {
          it.close();
          it.close_clients();
          co_await it.wait_closed();
        },
        std::ref(s));
    auto waiting = h::create_task(closed, std::ref(s));
    co_await closing;
    co_await waiting;
    EQUAL(s.connections(), 0u);
    co_await until([&] { return begun.load() == ended.load() && done.load() == clients; });
    EQUAL(begun.load(), ended.load());
    EQUAL(done.load(), clients);
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
