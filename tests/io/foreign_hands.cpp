// SPDX-License-Identifier: MIT
// What foreign threads that end at once begin, cancel, close and destroy, while the loops are busy:
// it is done, and nothing of others is disturbed.
#include "io/runtime.h"

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/http/session.h>
#include <heddle/io/process.h>
#include <heddle/io/signal_set.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/task_group.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <optional>
#include <thread>

namespace {

using namespace io_test;
using h::detail::fd;

class ForeignHands : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, ForeignHands, testing::ValuesIn(all_setups()), name_of);

/// A thread does it and ends.
template <class F>
void elsewhere(F f) {
  std::thread(std::move(f)).join();
}

h::task<> echo_all(h::stream_reader r, h::stream_writer w) {
  while (co_await r.fill()) {
    const auto bytes = r.buffered();
    w.write(bytes);
    r.consume(bytes.size());
    co_await w.drain();
  }
}

/// Connections that are used without a pause, and whose every byte is looked at.
class strangers {
 public:
  h::task<> begin(int count) {
    server_ = co_await h::start_server(echo_all, "127.0.0.1", 0);
    for (int i = 0; i < count; ++i) all_.push_back(h::create_task(talk(server_.port())));
  }
  /// Each has had an answer since.
  h::task<> heard_of() {
    const int seen = rounds_;
    const int more = static_cast<int>(all_.size()) * 2;
    co_await until([&] { return rounds_ >= seen + more || failed(); });
    EXPECT_FALSE(failed());
  }
  h::task<> end() {
    over_ = true;
    for (auto& t : all_) co_await t;
    server_.close();
    co_await server_.wait_closed();
  }

 private:
  [[nodiscard]] bool failed() const {
    for (const auto& t : all_)
      if (t.done()) return true;
    return false;
  }
  h::task<> talk(std::uint16_t port) {
    auto c = co_await h::open_connection("127.0.0.1", port);
    for (int i = 0; !over_; ++i) {
      const std::string line = "round " + std::to_string(i) + "\n";
      c.writer.write(line);
      EXPECT_EQ(co_await c.reader.read_line(), line);
      ++rounds_;
    }
    c.writer.close();
    co_await c.writer.wait_closed();
  }

  h::server server_;
  std::vector<h::task_handle<>> all_;
  std::atomic<bool> over_{false};
  std::atomic<int> rounds_{0};
};

TEST_P(ForeignHands, AReaderThatAThreadAddedIsCalledWhenTheThreadHasEnded) {
  run([]() -> h::task<> {
    constexpr int count = 50;
    auto& here = h::current_loop();
    std::vector<couple> kept(count);
    std::vector<couple> removed(count);
    std::atomic<int> called{0};
    std::atomic<int> gone{0};
    for (int i = 0; i < count; ++i) {
      elsewhere([&, i] {
        const int a = kept[i].near.get();
        const int b = removed[i].near.get();
        here.add_reader(a, [&called, own = support::counts_when_gone(gone), a] {
          char bytes[8];
          if (::recv(a, bytes, sizeof bytes, MSG_DONTWAIT) > 0) ++called;
        });
        here.add_reader(b, [] { ADD_FAILURE() << "it was removed"; });
        EXPECT_TRUE(here.remove_reader(b));
      });
      if (i % 5 == 0) co_await h::yield_now();
    }
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(::write(removed[i].far.get(), "x", 1), 1);
      EXPECT_EQ(::write(kept[i].far.get(), "x", 1), 1);
    }
    co_await until([&] { return called == count; });
    elsewhere([&] {
      for (auto& k : kept) EXPECT_TRUE(here.remove_reader(k.near.get()));
    });
    co_await until([&] { return gone == count; });  // a call may have been under way
  });
}

TEST_P(ForeignHands, ReadersThatComeAndGoDisturbNoConnection) {
  run([]() -> h::task<> {
    strangers others;
    co_await others.begin(4);
    auto& here = h::current_loop();
    for (int i = 0; i < support::rounds(200); ++i) {
      elsewhere([&] {
        const couple a;
        const couple b;
        here.add_reader(a.near.get(), [] {});
        here.add_writer(b.near.get(), [] {});
        here.remove_reader(a.near.get());
        here.remove_writer(b.near.get());
      });
      if (i % 20 == 0) co_await others.heard_of();
    }
    co_await others.heard_of();
    co_await others.end();
  });
}

TEST_P(ForeignHands, ADescriptorThatCannotBePolledIsRefused) {
  run([]() -> h::task<> {
    auto& here = h::current_loop();
    const fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    for (const int d : {nothing.get(), file.get(), 1'000'000}) {
      int code = 0;
      try {
        here.add_reader(d, [] { ADD_FAILURE() << "called"; });
      } catch (const std::system_error& e) { code = e.code().value(); }
      EXPECT_EQ(code, d == 1'000'000 ? EBADF : EPERM);
      EXPECT_THROW(here.add_writer(d, [] {}), std::system_error);
      EXPECT_FALSE(here.remove_reader(d));
    }
    co_return;
  });
}

TEST_P(ForeignHands, WhatAThreadWroteIsSentWhenTheThreadHasEnded) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::string much(support::rounds(8'000'000), 'x');
    elsewhere([&] { e.client.writer.write(much); });
    EXPECT_EQ((co_await e.server.reader.read_exactly(static_cast<std::ptrdiff_t>(much.size()))),
              much);
    elsewhere([&] {
      e.client.writer.write("last");
      e.client.writer.close();
    });
    EXPECT_EQ(co_await e.server.reader.read(-1), "last");
  });
}

TEST_P(ForeignHands, WhatTheyCloseEndsAndWhatTheyAbortIsReset) {
  run([]() -> h::task<> {
    for (int i = 0; i < support::rounds(30); ++i) {
      auto a = co_await connect_ends();
      auto b = co_await connect_ends();
      auto reads = [](h::stream_reader& r) -> h::task<std::string> { return r.read(-1); };
      auto end = h::create_task(reads, std::ref(a.server.reader));
      auto cut = h::create_task(reads, std::ref(b.server.reader));
      co_await support::until_waiting(cut);
      elsewhere([&] {
        a.client.writer.close();
        b.client.writer.abort();
      });
      EXPECT_EQ(co_await end, "");
      auto joined = [](h::task_handle<std::string> t) -> h::task<> { co_await t; };
      EXPECT_NE(code_of(co_await error_of(joined(cut))), -1);
    }
  });
}

h::async_generator<int> numbers() {
  for (int i = 0;; ++i) co_yield i;
}

/// All that a foreign thread destroys, cancels, closes and asks for.
h::task<> round_of_everything(std::uint16_t port, std::string url, h::http::session& kept) {
  auto held = std::make_shared<ends>(co_await connect_ends());
  auto read = [](std::shared_ptr<ends> e) -> h::task<std::string> {
    co_return co_await e->server.reader.read(1);
  };
  auto reading = h::create_task(read, held);
  auto sleeping = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
  std::optional<h::promise<int>> promised(std::in_place);
  auto future = promised->get_future();
  auto dropped = promised->get_future();
  std::optional<h::promise<int>> broken(std::in_place);
  auto never = broken->get_future();
  auto signals = std::make_unique<h::signal_set>(std::initializer_list<int>{SIGUSR1});
  auto child = std::make_unique<h::process>(co_await h::create_subprocess_exec("sleep", "1000"));
  auto server = std::make_unique<h::server>(co_await h::start_server(echo_all, "127.0.0.1", 0));
  auto session = std::make_unique<h::http::session>();
  (void)co_await session->get(url);
  (void)co_await kept.get(url);
  auto& here = h::current_loop();
  auto timer = here.call_later(1h, [] { ADD_FAILURE() << "was cancelled"; });
  auto generated = std::make_unique<h::async_generator<int>>(numbers());
  (void)co_await generated->next();
  auto pair = std::make_unique<couple>();
  here.add_reader(pair->near.get(), [] { ADD_FAILURE() << "was removed"; });
  auto lone = std::make_unique<h::connection>(co_await h::open_connection("127.0.0.1", port));
  lone->writer.write("unread");
  co_await support::until_waiting(reading);
  co_await support::until_waiting(sleeping);

  elsewhere([&] {
    EXPECT_FALSE(reading.done());
    EXPECT_FALSE(sleeping.state().empty());
    EXPECT_TRUE(sleeping.cancel());
    EXPECT_TRUE(reading.cancel());
    EXPECT_FALSE(held->client.writer.is_closing());
    EXPECT_EQ(held->client.writer.buffered(), 0u);
    (void)held->client.writer.local_address();
    promised->set_value(7);
    dropped = {};
    broken.reset();
    timer.cancel();
    EXPECT_TRUE(server->is_serving());
    (void)server->addresses();
    server->close();
    server->abort_clients();
    server.reset();
    (void)child->returncode();
    child->terminate();
    child.reset();
    signals.reset();
    session.reset();
    (void)kept.kept_connections();
    kept.close_kept();
    here.remove_reader(pair->near.get());
    pair.reset();
    lone.reset();
    generated.reset();
  });

  auto joined = [](h::any_task t) -> h::task<> { co_await support::until_done(t); };
  co_await joined(sleeping);
  co_await joined(reading);
  EXPECT_EQ(co_await future, 7);
  EXPECT_TRUE(never.done());
  elsewhere([&] { held.reset(); });
}

TEST_P(ForeignHands, DisturbNothingOfOthersWhateverTheyDestroy) {
  const auto descriptors = open_descriptors();
  run([]() -> h::task<> {
    strangers others;
    co_await others.begin(4);
    auto answers = [](h::stream_reader r, h::stream_writer w) -> h::task<> {
      for (;;) {
        const std::string line = co_await r.read_line();
        if (line.empty()) break;
        if (line == "\r\n") w.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      }
    };
    auto web = co_await h::start_server(answers, "127.0.0.1", 0);
    const std::string url = "http://127.0.0.1:" + std::to_string(web.port()) + "/";
    {
      h::http::session kept;
      // One that computes, so that the loops are busy.
      std::atomic<bool> over{false};
      auto computes = [](std::atomic<bool>& end) -> h::task<> {
        while (!end) {
          const auto until_then = h::clock::now() + 20us;
          while (h::clock::now() < until_then) h::detail::cpu_relax();
          co_await h::yield_now();
        }
      };
      auto busy = h::create_task(computes, std::ref(over));
      for (int i = 0; i < support::rounds(10); ++i) {
        co_await round_of_everything(web.port(), url, kept);
        co_await others.heard_of();
      }
      over = true;
      co_await busy;
    }
    co_await others.end();
    web.close();
    web.abort_clients();
    co_await web.wait_closed();
  });
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(ForeignHands, EndARuntimeWhileOthersWriteAndClose) {
  for (int i = 0; i < support::rounds(20); ++i) {
    std::vector<h::connection> ends_left;
    std::vector<std::thread> threads;
    std::atomic<bool> go{false};
    run([&]() -> h::task<> {
      for (int k = 0; k < 4; ++k) {
        auto e = co_await connect_ends();
        ends_left.push_back(std::move(e.client));
        ends_left.push_back(std::move(e.server));
      }
      for (auto& c : ends_left)
        threads.emplace_back([&go, c = std::move(c)]() mutable {
          while (!go) std::this_thread::yield();
          for (int n = 0; n < 20; ++n) c.writer.write(std::string(5000, 'x'));
          c.writer.close();
        });
      go = true;
      co_return;
    });
    for (auto& t : threads) t.join();
  }
}

}  // namespace
