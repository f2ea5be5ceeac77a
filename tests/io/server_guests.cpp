// SPDX-License-Identifier: MIT
// What fails while a server accepts costs one connection and not the server. And a server that ends
// awaits its handlers.
#include "io/runtime.h"

#include <heddle/sync/event.h>

#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>
#include <stdexcept>
#include <string>

// ThreadSanitizer has wrappers of its own for these calls, and needs them to see what they order.
#define HEDDLE_TESTS_REFUSE_CALLS (!HEDDLE_TSAN)

namespace {

/// A call of the kernel's that fails the next few times.
struct refusal {
  std::atomic<int> left{0};
  std::atomic<int> code{0};

  void next(int times, int with) {
    code = with;
    left = times;
  }
  bool applies() {
    for (int n = left.load(); n > 0;)
      if (left.compare_exchange_weak(n, n - 1)) return true;
    return false;
  }
};
refusal refuse_accept, refuse_watch;

}  // namespace

#if HEDDLE_TESTS_REFUSE_CALLS
extern "C" int accept4(int listener, sockaddr* peer, socklen_t* length, int flags) {
  if (refuse_accept.code == EMFILE && refuse_accept.applies()) {
    errno = EMFILE;  // the client waits on
    return -1;
  }
  const int got = static_cast<int>(::syscall(SYS_accept4, listener, peer, length, flags));
  if (got < 0 || !refuse_accept.applies()) return got;
  ::close(got);  // that client has gone
  errno = refuse_accept.code;
  return -1;
}

extern "C" int epoll_ctl(int set, int what, int descriptor, epoll_event* event) noexcept {
  if (what == EPOLL_CTL_ADD && refuse_watch.applies()) {
    errno = refuse_watch.code;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_epoll_ctl, set, what, descriptor, event));
}
#endif

namespace {

using namespace io_test;

class ServerGuests : public on_each_reactor {
 protected:
  void TearDown() override {
    refuse_accept.left = 0;
    refuse_watch.left = 0;
  }
};
INSTANTIATE_TEST_SUITE_P(, ServerGuests, testing::ValuesIn(all_setups()), name_of);

constexpr const char* dropped = "a connection was dropped while it was accepted";

h::task<> answer(h::stream_reader r, h::stream_writer w) {
  const std::string line = co_await r.read_line();
  w.write(line);
  w.close();
}

h::task<std::string> ask(std::uint16_t port) {
  auto opening = h::open_connection("127.0.0.1", port);
  h::connection c = co_await opening;
  c.writer.write("hello\n");
  std::string all = co_await c.reader.read();
  c.writer.close();
  co_return all;
}

h::task<h::server> start_one_listener() {
  h::server_options o;
  o.name = "guest";
  o.reuse_port = false;
  return h::start_server(answer, "127.0.0.1", 0, std::move(o));
}

/// Throws for the next `times` tasks of connections.
void refuse_tasks(std::shared_ptr<std::atomic<int>> times) {
  h::current_runtime().set_task_factory([times](h::task_options& o) {
    if (o.name != "guest") return;
    for (int n = times->load(); n > 0;)
      if (times->compare_exchange_weak(n, n - 1)) {
        if (n % 2 == 0) throw std::bad_alloc();
        throw h::cancelled_error("by the factory");
      }
  });
}

TEST_P(ServerGuests, AGuestWhomTheTaskFactoryRefusesIsDroppedAndTheNextOneIsServed) {
  run([this]() -> h::task<> {
    h::server s = co_await start_one_listener();
    auto times = std::make_shared<std::atomic<int>>(0);
    refuse_tasks(times);
    for (const int kind : {1, 2}) {  // a cancelled_error, and std::bad_alloc
      *times = kind;
      const auto first = co_await error_of(ask(s.port()));
      *times = 0;
      const std::string second = co_await ask(s.port());
      EXPECT_EQ(second, "hello\n");
    }
    EXPECT_TRUE(s.is_serving());
    co_await until([&] { return s.connections() == 0; });
    EXPECT_EQ(report_count.load(), 2u);
  });
  for (const auto& r : reports) EXPECT_EQ(r, dropped);
}

TEST_P(ServerGuests, AcceptingPausesAndGoesOnWhenTheTaskFactoryKeepsThrowing) {
  run([this]() -> h::task<> {
    h::server s = co_await start_one_listener();
    auto times = std::make_shared<std::atomic<int>>(3);
    refuse_tasks(times);
    for (int i = 0; i < 3; ++i) { const auto refused = co_await error_of(ask(s.port())); }
    const std::string served = co_await ask(s.port());
    EXPECT_EQ(served, "hello\n");
    EXPECT_TRUE(s.is_serving());
    EXPECT_EQ(report_count.load(), 3u);
  });
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0], dropped);
  std::string paused(dropped);
  paused += "; accepting pauses for a second";
  for (const std::size_t i : {1u, 2u}) EXPECT_EQ(reports[i], paused);
}

TEST_P(ServerGuests, ADescriptorThatCannotBeWatchedCostsOneGuest) {
  if (!HEDDLE_TESTS_REFUSE_CALLS || GetParam().reactor != h::reactor_kind::epoll)
    GTEST_SKIP() << "only epoll watches by a call of its own, which only some builds can refuse";
  run([this]() -> h::task<> {
    h::server s = co_await start_one_listener();
    const auto port = s.port();
    const auto before = open_descriptors();
    // The guest is a plain socket: one of ours would be watched too.
    const int guest = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto at = h::address::ip("127.0.0.1", port);
    refuse_watch.next(1, ENOSPC);
    EXPECT_EQ(::connect(guest, at.data(), at.size()), 0);
    co_await until([this] { return report_count.load() == 1; });
    ::close(guest);
    EXPECT_EQ(open_descriptors(), before);
    const std::string served = co_await ask(port);
    EXPECT_EQ(served, "hello\n");
    EXPECT_TRUE(s.is_serving());
  });
  EXPECT_EQ(reports, std::vector<std::string>{dropped});
}

TEST_P(ServerGuests, NoErrorOfAcceptEndsAccepting) {
  if (!HEDDLE_TESTS_REFUSE_CALLS) GTEST_SKIP() << "calls of the kernel's cannot be refused here";
  run([this]() -> h::task<> {
    h::server s = co_await start_one_listener();
    std::size_t reported = 0;
    for (const int code : {ECONNABORTED, EPERM, EPROTO, ENOBUFS, ENFILE}) {
      refuse_accept.next(1, code);
      const auto refused = co_await error_of(ask(s.port()));
      const std::string served = co_await ask(s.port());
      EXPECT_EQ(served, "hello\n") << code;
      EXPECT_EQ(report_count.load(), ++reported) << code;
    }
    EXPECT_TRUE(s.is_serving());
  });
}

TEST_P(ServerGuests, AWantOfDescriptorsIsReportedOnceAndItsEndIsNoticedSoon) {
  if (!HEDDLE_TESTS_REFUSE_CALLS) GTEST_SKIP() << "calls of the kernel's cannot be refused here";
  run([]() -> h::task<> {
    h::server s = co_await start_one_listener();
    const auto begun = std::chrono::steady_clock::now();
    refuse_accept.next(6, EMFILE);
    const std::string served = co_await ask(s.port());
    const auto took = std::chrono::steady_clock::now() - begun;
    EXPECT_EQ(served, "hello\n");
    EXPECT_EQ(refuse_accept.left.load(), 0);
    EXPECT_GE(took, 235ms);  // 5, 10, 20, 40, 80 and 80 ms: the pauses back off
    EXPECT_LT(took, 5s);     // pauses of a second would take 6 s
  });
  EXPECT_EQ(reports,
            std::vector<std::string>{"accepting pauses until descriptors or memory are free"});
}

TEST_P(ServerGuests, AnErrorOfAcceptThatStaysDoesNotSpin) {
  if (!HEDDLE_TESTS_REFUSE_CALLS) GTEST_SKIP() << "calls of the kernel's cannot be refused here";
  run([]() -> h::task<> {
    h::server s = co_await start_one_listener();
    refuse_accept.next(3, EPERM);
    for (int i = 0; i < 3; ++i) { const auto refused = co_await error_of(ask(s.port())); }
    const std::string served = co_await ask(s.port());
    EXPECT_EQ(served, "hello\n");
  });
  EXPECT_EQ(reports.size(), 3u);  // one a pause, and the first
}

TEST_P(ServerGuests, CancellingItsAcceptingTasksClosesTheServerAndLeavesNoDeafListener) {
  run([]() -> h::task<> {
    h::server s = co_await start_one_listener();
    const auto port = s.port();
    co_await until(everybody_else_waits);
    std::vector<h::any_task> others = h::all_tasks();
    for (auto& t : others)
      if (t.get_name().starts_with("accept ")) t.cancel();
    co_await until([&] { return !s.is_serving(); });
    const auto refused = co_await error_of(ask(port));
    EXPECT_EQ(code_of(refused), ECONNREFUSED);
    co_await s.wait_closed();
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(ServerGuests, AHandlersOwnCancellationIsSilentAndThatOfAnotherTaskIsReported) {
  run([this]() -> h::task<> {
    h::event never;
    auto handle = [&never](h::stream_reader r, h::stream_writer) -> h::task<> {
      const std::string line = co_await r.read_line();
      auto other =
          h::create_task([](h::event& e) -> h::task<> { co_await e.wait(); }, std::ref(never));
      other.cancel();
      co_await other;
    };
    auto starting = h::start_server(handle, "127.0.0.1", 0);
    h::server s = co_await starting;
    const auto end = co_await error_of(ask(s.port()));
    co_await until([this] { return report_count.load() == 1; });
  });
  EXPECT_EQ(reports, std::vector<std::string>{"unhandled exception in connection handler"});
}

// --- what is awaited at the end ---

/// Closes its connection, and then ends only when it may.
struct lingering_handler {
  h::event may_end, begun;
  std::atomic<bool> ended{false};

  h::task<> operator()(h::stream_reader, h::stream_writer w) {
    w.close();
    begun.set();
    co_await may_end.wait();
    ended = true;
  }
};

h::task<std::vector<h::connection>> connect_clients(std::uint16_t port, int count) {
  std::vector<h::connection> all;
  for (int i = 0; i < count; ++i) {
    auto opening = h::open_connection("127.0.0.1", port);
    all.push_back(co_await opening);
  }
  co_return all;
}

h::task<> wait_closed(h::server& s) { co_await s.wait_closed(); }
h::task<> join(h::task_handle<void> t) { co_await t; }

TEST_P(ServerGuests, WaitClosedWaitsForHandlersWhoseConnectionsHaveEnded) {
  run([]() -> h::task<> {
    lingering_handler handler;
    auto starting = h::start_server(std::ref(handler), "127.0.0.1", 0);
    h::server s = co_await starting;
    const auto client = co_await error_of(ask(s.port()));
    co_await handler.begun.wait();
    co_await until([&] { return s.connections() == 0; });
    s.close();
    s.close_clients();
    auto closing = h::create_task(wait_closed, std::ref(s));
    co_await until([&] { return closing.done() || waits(closing); });
    EXPECT_FALSE(closing.done());
    handler.may_end.set();
    co_await closing;
    EXPECT_TRUE(handler.ended.load());
  });
}

TEST_P(ServerGuests, CloseClientsAndWaitClosedEndWhenTheHandlersHaveSeenTheEnd) {
  run([]() -> h::task<> {
    std::atomic<int> inside{0}, begun{0};
    auto handle = [&](h::stream_reader r, h::stream_writer) -> h::task<> {
      ++inside;
      ++begun;
      const std::string rest = co_await r.read();
      for (int i = 0; i < 10; ++i) co_await h::yield_now();
      --inside;
    };
    auto starting = h::start_server(handle, "127.0.0.1", 0);
    h::server s = co_await starting;
    auto connecting = connect_clients(s.port(), 20);
    const auto clients = co_await connecting;
    co_await until([&] { return begun.load() == 20; });
    s.close();
    s.close_clients();
    co_await s.wait_closed();
    EXPECT_EQ(inside.load(), 0);
  });
}

TEST_P(ServerGuests, HandlersMayWaitForTheEndOfTheirOwnServer) {
  run([]() -> h::task<> {
    h::server s;
    std::atomic<int> begun{0}, ended{0};
    auto handle = [&](h::stream_reader r, h::stream_writer w) -> h::task<> {
      ++begun;
      const std::string word = co_await r.read_line();
      w.close();
      s.close();
      co_await s.wait_closed();
      ++ended;
    };
    auto starting = h::start_server(handle, "127.0.0.1", 0);
    s = co_await starting;
    const auto port = s.port();
    auto opening = h::open_connection("127.0.0.1", port);
    h::connection one = co_await opening;
    auto opening_too = h::open_connection("127.0.0.1", port);
    h::connection two = co_await opening_too;
    co_await until([&] { return begun.load() == 2; });
    one.writer.write("end\n");
    two.writer.write("end\n");
    co_await s.wait_closed();
    EXPECT_EQ(ended.load(), 2);
  });
}

TEST_P(ServerGuests, CancelledHandlersEndAlsoWhenTheyHaveNothingToDoWithTheirConnection) {
  run([]() -> h::task<> {
    h::event never;
    std::atomic<int> begun{0}, cancelled{0};
    auto handle = [&](h::stream_reader, h::stream_writer) -> h::task<> {
      ++begun;
      try {
        co_await never.wait();
      } catch (const h::cancelled_error&) {
        ++cancelled;
        throw;
      }
    };
    auto starting = h::start_server(handle, "127.0.0.1", 0);
    h::server s = co_await starting;
    auto connecting = connect_clients(s.port(), 10);
    const auto clients = co_await connecting;
    co_await until([&] { return begun.load() == 10; });
    s.close();
    s.abort_clients();
    s.cancel_handlers();
    co_await s.wait_closed();
    EXPECT_EQ(cancelled.load(), 10);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(ServerGuests, ServeForeverIsCancelledByCloseFromElsewhereAndHasAwaitedItsHandlers) {
  run([]() -> h::task<> {
    lingering_handler handler;
    auto starting = h::start_server(std::ref(handler), "127.0.0.1", 0);
    h::server s = co_await starting;
    auto serving = h::create_task([](h::server& it) -> h::task<> { co_await it.serve_forever(); },
                                  std::ref(s));
    const auto client = co_await error_of(ask(s.port()));
    co_await handler.begun.wait();
    co_await until([&] { return waits(serving); });
    s.close();
    co_await until([&] { return serving.done() || waits(serving); });
    EXPECT_FALSE(serving.done());
    handler.may_end.set();
    const auto error = co_await error_of(join(serving));
    EXPECT_TRUE(is<h::cancelled_error>(error));
    EXPECT_TRUE(handler.ended.load());
    EXPECT_TRUE(serving.cancelled());
  });
}

}  // namespace
