// SPDX-License-Identifier: MIT
#include "io/runtime.h"

#include <heddle/io/reactor/reactor.h>
#include <heddle/io/resolve.h>
#include <heddle/io/signal_set.h>

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace {

using namespace io_test;
using h::detail::io_source;
using h::detail::source_name;

// --- slots and generations ---

/// A reactor that watches nothing: events are made up by the test.
class no_reactor final : public h::detail::reactor {
 public:
  no_reactor() : reactor(false) {}
  unsigned poll(h::duration) override { return 0; }
  void wake() noexcept override {}
  unsigned rescue() noexcept override { return 0; }
  [[nodiscard]] const char* name() const noexcept override { return "none"; }
  io_source& watch(int d, h::detail::source_owner* o, h::detail::watched_for) override {
    return io_source::claim(d, *this, o);
  }
  void unwatch(io_source&) noexcept override {}
  void repeat_edge(io_source&) noexcept override {}
};

TEST(Sources, ReuseASlotUnderAnotherGeneration) {
  no_reactor none;
  auto& first = io_source::claim(100, none, nullptr);
  const source_name old = first.name();
  first.retire();
  auto& second = io_source::claim(101, none, nullptr);
  EXPECT_EQ(second.name().slot, old.slot);
  EXPECT_NE(second.name().generation, old.generation);
  second.retire();
}

TEST(Sources, CountEventsOfTheirOwnLifeOnly) {
  no_reactor none;
  auto& first = io_source::claim(100, none, nullptr);
  const source_name old = first.name();
  first.ready(old.generation, h::detail::events::in);
  first.retire();
  auto& second = io_source::claim(100, none, nullptr);
  const auto edges = second.edges();
  second.ready(old.generation, h::detail::events::in | h::detail::events::hang_up);
  EXPECT_EQ(second.edges(), edges);
  EXPECT_FALSE(second.ended.load(h::detail::relaxed));
  second.ready(second.generation(), h::detail::events::in);
  EXPECT_EQ(second.edges(), edges + 1);
  second.retire();
}

/// One thread takes slots and gives them back; others go on telling them of events of earlier
/// lives. Returns how many events reached a life that they were not meant for.
std::uint64_t misdelivered_under_fire() {
  no_reactor none;
  std::atomic<std::uint64_t> latest{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> late;
  for (int t = 0; t < 2; ++t)
    late.emplace_back([&] {
      while (!stop.load()) {
        const auto name = latest.load();
        if (name != 0)
          io_source::at(static_cast<std::uint32_t>(name))
              .ready(static_cast<std::uint32_t>(name >> 32), h::detail::events::in);
      }
    });
  std::uint64_t wrong = 0;
  for (int life = 0; life < 20'000; ++life) {
    auto& s = io_source::claim(7, none, nullptr);
    const auto before = s.edges();
    // Now and then the others surely run here, however few processors there are and however slow a
    // sanitizer is.
    if (life % 64 == 0)
      std::this_thread::yield();
    else
      for (int spin = 0; spin < 20; ++spin) h::detail::cpu_relax();
    const source_name name = s.name();
    wrong += s.edges() - before;  // this life's name was not told to anybody yet
    s.retire();
    latest =
        (static_cast<std::uint64_t>(name.generation) << 32) | name.slot;  // from now on it is stale
  }
  stop = true;
  for (auto& t : late) t.join();
  return wrong;
}

TEST(Sources, DropStaleEventsUnderFire) { EXPECT_EQ(misdelivered_under_fire(), 0u); }

TEST(Sources, WouldMisdeliverStaleEventsWithoutTheirGeneration) {
  if (HEDDLE_TSAN)
    GTEST_SKIP() << "the planted fault is a data race, which ThreadSanitizer reports on its own";
  h::detail::plant_fault_ignore_generations(true);
  std::uint64_t wrong = 0;
  for (int attempt = 0; attempt < 50 && wrong == 0; ++attempt) wrong = misdelivered_under_fire();
  h::detail::plant_fault_ignore_generations(false);
  EXPECT_GT(wrong, 0u) << "the stress did not catch the planted fault";
}

// --- choosing ---

/// Sets HEDDLE_REACTOR for one test.
class wished {
 public:
  explicit wished(const char* value) {
    if (const char* old = std::getenv("HEDDLE_REACTOR")) before_ = old;
    ::setenv("HEDDLE_REACTOR", value, 1);
  }
  ~wished() {
    if (before_.empty())
      ::unsetenv("HEDDLE_REACTOR");
    else
      ::setenv("HEDDLE_REACTOR", before_.c_str(), 1);
  }

 private:
  std::string before_;
};

TEST(ChoosingAReactor, TakesTheOptionBeforeTheEnvironment) {
  const wished w("uring");
  std::string note;
  EXPECT_EQ(h::detail::choose_reactor(h::reactor_kind::epoll, note), h::reactor_kind::epoll);
  EXPECT_TRUE(note.empty());
}

TEST(ChoosingAReactor, TakesTheEnvironmentBeforeTheProbe) {
  const wished w("epoll");
  std::string note;
  EXPECT_EQ(h::detail::choose_reactor(h::reactor_kind::automatic, note), h::reactor_kind::epoll);
  EXPECT_TRUE(note.empty());
}

TEST(ChoosingAReactor, RefusesAnUnknownNameInTheEnvironment) {
  const wished w("kqueue");
  std::string note;
  EXPECT_THROW((void)h::detail::choose_reactor(h::reactor_kind::automatic, note), h::bad_value);
}

TEST(ChoosingAReactor, SaysWhyItFellBack) {
  const wished w("auto");
  std::string note;
  const auto kind = h::detail::choose_reactor(h::reactor_kind::automatic, note);
  EXPECT_EQ(kind == h::reactor_kind::uring, note.empty()) << note;
}

// --- both reactors ---

class Reactor : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, Reactor, testing::ValuesIn(all_setups()), name_of);

TEST_P(Reactor, IsTheOneThatWasAskedFor) {
  h::options o;
  o.loops = GetParam().loops;
  o.reactor = GetParam().reactor;
  h::runtime rt(o);
  EXPECT_EQ(rt.reactor(), GetParam().reactor == h::reactor_kind::epoll ? "epoll" : "io_uring");
}

TEST_P(Reactor, WakesFromAnotherThreadAtAnyTime) {
  h::options o;
  o.loops = GetParam().loops;
  o.reactor = GetParam().reactor;
  h::runtime rt(o);
  for (int i = 0; i < 300; ++i) {
    auto f = rt.submit([](int n) -> h::task<int> { co_return n; }, i);
    EXPECT_EQ(f.get(), i);
  }
}

TEST_P(Reactor, SleepsNeverShorterThanAsked) {
  run([]() -> h::task<> {
    for (const auto d : {1us, 50us, 999us, 1500us}) {
      const auto before = h::clock::now();
      co_await h::sleep(d);
      EXPECT_GE(h::clock::now() - before, d);
    }
  });
}

TEST_P(Reactor, ServesTheConnectionsOfAHoggedLoop) {
  if (GetParam().loops == 1) return;  // nobody there to help
  run([]() -> h::task<> {
    auto echo = [](h::stream_reader r, h::stream_writer w) -> h::task<> {
      while (co_await r.fill()) {
        const auto bytes = r.buffered();
        w.write(bytes);
        r.consume(bytes.size());
      }
    };
    auto s = co_await h::start_server(echo, "127.0.0.1", 0);
    std::vector<h::connection> clients;
    for (int i = 0; i < 16; ++i) {
      clients.push_back(co_await h::open_connection("127.0.0.1", s.port()));
      clients.back().writer.write("warm\n");
      EXPECT_EQ(co_await clients.back().reader.read_line(), "warm\n");
    }
    std::atomic<bool> hogging{false}, done{false};
    auto hog = h::create_task([&]() -> h::task<> {
      hogging = true;
      while (!done.load()) h::detail::cpu_relax();
      co_return;
    });
    co_await until([&] { return hogging.load(); });
    // Whichever loop these live on, they are answered while one of the loops does not return.
    for (int round = 0; round < 5; ++round) {
      for (auto& c : clients) c.writer.write("during\n");
      for (auto& c : clients) EXPECT_EQ(co_await c.reader.read_line(), "during\n");
    }
    auto fresh = co_await h::open_connection("127.0.0.1", s.port());
    fresh.writer.write("new\n");
    EXPECT_EQ(co_await fresh.reader.read_line(), "new\n");
    done = true;
    co_await hog;
  });
}

TEST_P(Reactor, LeavesNoDescriptorBehind) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    for (int i = 0; i < 20; ++i) {
      auto e = co_await connect_ends();
      e.client.writer.write("x");
      EXPECT_EQ(co_await e.server.reader.read(1), "x");
      if (i % 2) e.client.writer.abort();
    }
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(Reactor, TellsASignalToEachSetThatNamesIt) {
  run([]() -> h::task<> {
    h::signal_set one{SIGUSR1, SIGUSR2};
    h::signal_set two{SIGUSR1};
    auto waiting =
        h::create_task([](h::signal_set& s) -> h::task<int> { return s.wait(); }, std::ref(one));
    co_await until([&] { return waits(waiting); });
    ::kill(::getpid(), SIGUSR1);
    EXPECT_EQ(co_await waiting, SIGUSR1);
    EXPECT_EQ(co_await two.wait(), SIGUSR1);
    ::kill(::getpid(), SIGUSR2);
    EXPECT_EQ(co_await one.wait(), SIGUSR2);
    auto cut =
        h::create_task([](h::signal_set& s) -> h::task<int> { return s.wait(); }, std::ref(two));
    co_await h::yield_now();
    cut.cancel();
    EXPECT_TRUE(is<h::cancelled_error>(
        co_await error_of([](h::task_handle<int> t) -> h::task<> { co_await t; }(cut))));
    ::kill(::getpid(), SIGUSR1);
    EXPECT_EQ(co_await two.wait(), SIGUSR1);
  });
}

TEST_P(Reactor, RestoresASignalsActionAndRefusesWhatCannotBeCaught) {
  std::signal(SIGUSR1, SIG_IGN);
  run([]() -> h::task<> {
    { const h::signal_set mine{SIGUSR1}; }
    ::kill(::getpid(), SIGUSR1);  // would end the process if it were not ignored again
    EXPECT_THROW(h::signal_set{SIGKILL}, h::usage_error);
    EXPECT_THROW(h::signal_set{0}, h::bad_value);
    EXPECT_THROW(h::signal_set{-1}, h::bad_value);
    EXPECT_THROW(h::signal_set{65}, h::bad_value);
    co_return;
  });
  EXPECT_EQ(std::signal(SIGUSR1, SIG_DFL), SIG_IGN);
}

TEST_P(Reactor, ResolvesNumbersAndNamesAndSaysWhatItCouldNot) {
  run([]() -> h::task<> {
    const auto four = co_await h::resolve("127.0.0.1", 80);
    EXPECT_EQ(four.size(), 1u);
    EXPECT_EQ(four.front().to_string(), "127.0.0.1:80");
    const auto six = co_await h::resolve("::1", 443);
    EXPECT_EQ(six.front().to_string(), "[::1]:443");
    h::resolve_options only_four;
    only_four.family = AF_INET;
    const auto local = co_await h::resolve("localhost", 1, only_four);
    EXPECT_EQ(local.front().host(), "127.0.0.1");
    const auto error = co_await error_of(h::resolve("no such host.invalid", 80));
    EXPECT_TRUE(is<std::system_error>(error));
    EXPECT_NE(h::describe(error).find("no such host.invalid"), std::string::npos)
        << h::describe(error);
  });
}

// --- addresses ---

TEST(Address, ReadsAndWritesNumbers) {
  EXPECT_EQ(h::address::ip("10.1.2.3", 8080).to_string(), "10.1.2.3:8080");
  EXPECT_EQ(h::address::ip("fe80::1", 1).host(), "fe80::1");
  EXPECT_EQ(h::address::ip("::", 65535).port(), 65535);
  EXPECT_THROW((void)h::address::ip("example.org", 1), h::bad_value);
  EXPECT_THROW((void)h::address::ip("1.2.3", 1), h::bad_value);
  EXPECT_THROW((void)h::address::ip("fe80::1%nosuchinterface", 1), h::bad_value);
  EXPECT_EQ(h::address().to_string(), "");
}

TEST(Address, NamesUnixSockets) {
  EXPECT_EQ(h::address::unix_path("/run/x.sock").to_string(), "/run/x.sock");
  EXPECT_EQ(h::address::unix_path(std::string("\0name", 5)).to_string(), "@name");
  EXPECT_THROW((void)h::address::unix_path(""), h::bad_value);
  EXPECT_THROW((void)h::address::unix_path(std::string(108, 'x')), h::bad_value);
}

}  // namespace
