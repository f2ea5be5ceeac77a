// SPDX-License-Identifier: MIT
// Names: what a resolver of one's own is asked, who shares its answer, and what is kept. No case
// asks the network.
#include "conn_support.h"

#include <heddle/io/file.h>
#include <heddle/io/resolve.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/to_thread.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

namespace {

using namespace conformance;

REACTOR_CASES(IO_DNS);

using found = std::vector<h::address>;

h::task<found> look_up(std::string name, std::uint16_t port = 80) {
  return h::resolve(std::move(name), port);
}

/// Answers 127.0.0.1 when its gate is open; counts.
class gated_names final : public h::resolver {
 public:
  gated_names() : open_(gate_.get_future()) {}
  h::task<h::name_answer> look_up(h::name_query) override {
    ++asked;
    const auto ends = support::counts_when_gone(ended);
    auto waiting = h::shield(open_);  // cancelling one look-up leaves the gate to the others
    co_await waiting;
    h::name_answer a;
    a.addresses.push_back(h::address::ip("127.0.0.1", 0));
    co_return a;
  }
  void open() { gate_.set_value(); }

  std::atomic<int> asked{0};
  std::atomic<int> ended{0};

 private:
  h::promise<> gate_;
  h::future<> open_;
};

/// A function that blocks until the gate is open, and counts.
struct gated_calls {
  std::mutex lock;
  std::condition_variable changed;
  bool is_open = false;
  std::atomic<int> asked{0};

  h::name_answer answer(const h::name_query&) {
    ++asked;
    std::unique_lock hold(lock);
    changed.wait(hold, [&] { return is_open; });
    h::name_answer a;
    a.addresses.push_back(h::address::ip("127.0.0.1", 0));
    return a;
  }
  void open() {
    const std::lock_guard hold(lock);
    is_open = true;
    changed.notify_all();
  }
};
h::blocking_look_up calls_of(std::shared_ptr<gated_calls> to) {
  return [to](const h::name_query& q) { return to->answer(q); };
}

TEST_P(IO_DNS, IO_DNS_02_EachAddressOnceInTheOrderOfTheAnswer) {
  run([]() -> h::task<> {
    const auto four = h::address::ip("127.0.0.7", 80);
    const auto six = h::address::ip("fd00::7", 80);
    name_these({six, four, six, h::address::ip("127.0.0.7", 0), h::address::ip("127.0.0.7", 81)});
    const auto got = co_await look_up("x.test");
    const found expected{six, four, h::address::ip("127.0.0.7", 81)};
    EQUAL(got, expected);
    h::reset_resolver();
    const auto own = co_await look_up("localhost");
    HOLDS(!own.empty());
    for (std::size_t i = 0; i < own.size(); ++i)
      for (std::size_t k = 0; k < i; ++k) HOLDS(!(own[i] == own[k]));
  });
}

/// IPv4 is 127.0.0.1. IPv6 is never answered, or has no address.
class one_family final : public h::resolver {
 public:
  explicit one_family(bool silent) : silent_(silent) {}
  h::task<h::name_answer> look_up(h::name_query q) override {
    ++asked;
    const auto ends = support::counts_when_gone(ended);
    if (q.family != AF_INET && silent_) co_await h::sleep(24h);
    if (q.family != AF_INET) h::throw_name_error(h::name_error::no_data, q.host);
    h::name_answer a;
    a.addresses.push_back(h::address::ip("127.0.0.1", q.port));
    co_return a;
  }
  std::atomic<int> asked{0};
  std::atomic<int> ended{0};

 private:
  const bool silent_;
};

TEST_P(IO_DNS, IO_DNS_05_AServerThatIsSilentForOneFamilyCostsTheDelay) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, std::string("127.0.0.1"), 0);
    h::connection_options o;
    for (const bool silent : {true, false}) {
      auto names = std::make_shared<one_family>(silent);
      h::set_resolver(names);
      if (silent) o.resolution_delay = 10ms;
      if (!silent) o.resolution_delay = 24h;  // a failure is not waited upon
      auto connecting = h::open_connection("x.test", s.port(), o);
      auto c = co_await connecting;
      EQUAL(c.writer.peer_address().host(), "127.0.0.1");
      c.writer.close();
      // A look-up that was dropped before its first step has not asked.
      HOLDS(names->asked == 2 || (silent && names->asked == 1));
      co_await until([&] { return names->ended == names->asked; });
    }
    // Both fail: the error of IPv4.
    h::set_resolver([](const h::name_query& q) -> h::name_answer {
      h::throw_name_error(
          q.family == AF_INET ? h::name_error::no_such_name : h::name_error::no_data, q.host);
    });
    auto connecting = h::open_connection("x.test", s.port(), o);
    const auto error = co_await error_of(std::move(connecting));
    EQUAL(code_of(error), static_cast<int>(h::name_error::no_such_name));
  });
}

/// Fails in five ways.
h::name_answer fail_by_name(const h::name_query& q) {
  if (q.host == "nothing.test") h::throw_name_error(h::name_error::no_such_name, q.host);
  if (q.host == "broken.test") h::throw_name_error(h::name_error::server_failure, q.host);
  if (q.host == "slow.test") h::throw_name_error(h::name_error::timed_out, q.host);
  if (q.host == "full.test") h::throw_system_error(EMFILE, "socket", q.host);
  return {};  // there is no address
}

TEST_P(IO_DNS, IO_DNS_06_FiveFailuresHaveFiveCodesAndTheName) {
  run([]() -> h::task<> {
    h::set_resolver(fail_by_name);
    std::vector<int> codes;
    for (const char* name :
         {"nothing.test", "broken.test", "slow.test", "full.test", "none.test"}) {
      const auto error = co_await error_of(look_up(name));
      HOLDS(has(h::describe(error), name));
      for (const int other : codes) HOLDS(other != code_of(error));
      codes.push_back(code_of(error));
      // Connecting and listening tell the same.
      const auto connecting = co_await error_of(h::open_connection(name, 80));
      EQUAL(code_of(connecting), codes.back());
      const auto listening = co_await error_of(h::start_server(echo, std::string(name), 0));
      EQUAL(code_of(listening), codes.back());
    }
    EQUAL(codes[3], EMFILE);
  });
}

TEST_P(IO_DNS, IO_DNS_08_ALookUpThatNobodyWaitsForIsCancelled) {
  run([]() -> h::task<> {
    auto names = std::make_shared<gated_names>();
    h::set_resolver(names);
    std::vector<h::task_handle<found>> all;
    for (int i = 0; i < 1000; ++i)
      all.push_back(h::create_task(look_up("n" + std::to_string(i) + ".test")));
    co_await until([&] { return names->asked == 1000; });
    for (auto& t : all) t.cancel();
    for (auto& t : all) {
      const std::string how = co_await ending(t);
      EQUAL(how, "Cancelled");
    }
    co_await until([&] { return names->ended == 1000; });
    names->open();
  });
}

TEST_P(IO_DNS, IO_DNS_08_AThousandCancelledLookUpsHoldNoMoreThreads) {
  run([]() -> h::task<> {
    auto calls = std::make_shared<gated_calls>();
    h::set_resolver(calls_of(calls));
    std::vector<h::task_handle<found>> all;
    for (int i = 0; i < 1000; ++i)
      all.push_back(h::create_task(look_up("n" + std::to_string(i) + ".test")));
    for (auto& t : all) co_await until_waiting(t);
    co_await until([&] { return calls->asked == 32; });
    for (auto& t : all) t.cancel();
    for (auto& t : all) {
      const std::string how = co_await ending(t);
      EQUAL(how, "Cancelled");
    }
    calls->open();
    const auto last = co_await look_up("last.test");
    EQUAL(last.size(), 1u);
    EQUAL(calls->asked.load(), 33);
  });
}

TEST_P(IO_DNS, IO_DNS_09_EqualQueriesAtOneTimeAreOne) {
  run([]() -> h::task<> {
    auto names = std::make_shared<gated_names>();
    h::set_resolver(names);
    std::vector<h::task_handle<found>> all;
    for (int i = 0; i < 100; ++i) all.push_back(h::create_task(look_up("one.test")));
    for (auto& t : all) co_await until_waiting(t);
    co_await until([&] { return names->asked == 1; });
    auto other = h::create_task(look_up("one.test", 81));
    co_await until([&] { return names->asked == 2; });
    all.front().cancel();
    co_await until_done(all.front());
    HOLDS(all.front().cancelled());
    HOLDS(!all.back().done());
    names->open();
    for (std::size_t i = 1; i < all.size(); ++i) {
      const auto& got = co_await all[i];
      EQUAL(got.front().to_string(), "127.0.0.1:80");
    }
    const auto& got = co_await other;
    EQUAL(got.front().to_string(), "127.0.0.1:81");
    EQUAL(names->asked.load(), 2);
  });
}

TEST_P(IO_DNS, IO_DNS_09_WhenAllAreCancelledTheQueryIsDropped) {
  run([]() -> h::task<> {
    auto names = std::make_shared<gated_names>();
    h::set_resolver(names);
    std::vector<h::task_handle<found>> all;
    for (int i = 0; i < 100; ++i) all.push_back(h::create_task(look_up("one.test")));
    for (auto& t : all) co_await until_waiting(t);
    co_await until([&] { return names->asked == 1; });
    for (auto& t : all) t.cancel();
    for (auto& t : all) co_await until_done(t);
    co_await until([&] { return names->ended == 1; });
    names->open();
    (void)co_await look_up("one.test");
    EQUAL(names->asked.load(), 2);
  });
}

/// Every answer takes 50 ms, and no thread. Counts the threads of the process meanwhile.
class slow_names final : public h::resolver {
 public:
  static std::size_t threads() {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& t : std::filesystem::directory_iterator("/proc/self/task"))
      ++n;
    return n;
  }
  h::task<h::name_answer> look_up(h::name_query) override {
    co_await h::sleep(50ms);
    if (++answered == 500) at_half = threads();
    h::name_answer a;
    a.addresses.push_back(h::address::ip("127.0.0.1", 0));
    co_return a;
  }
  std::atomic<int> answered{0};
  std::atomic<std::size_t> at_half{0};
};

TEST_P(IO_DNS, IO_DNS_10_AThousandNamesNeedNoThreads) {
  run([]() -> h::task<> {
    auto names = std::make_shared<slow_names>();
    h::set_resolver(names);
    const auto before = slow_names::threads();
    std::vector<h::task_handle<found>> all;
    for (int i = 0; i < 1000; ++i)
      all.push_back(h::create_task(look_up("n" + std::to_string(i) + ".test")));
    for (auto& t : all) {
      const auto& got = co_await t;
      EQUAL(got.size(), 1u);
    }
    HOLDS(names->at_half != 0 && names->at_half <= before + 2);
  });
}

TEST_P(IO_DNS, IO_DNS_11_AResolverThatBlocksDelaysNoJob) {
  run([]() -> h::task<> {
    auto calls = std::make_shared<gated_calls>();
    h::set_resolver(calls_of(calls));
    std::vector<h::task_handle<found>> all;
    for (int i = 0; i < 40; ++i)
      all.push_back(h::create_task(look_up("n" + std::to_string(i) + ".test")));
    co_await until([&] { return calls->asked == 32; });
    for (int i = 0; i < 10; ++i) {
      auto job = h::to_thread([] { return 7; });
      const int seven = co_await job;
      EQUAL(seven, 7);
      auto reading = h::read_file("/proc/self/comm");
      const std::string text = co_await reading;
      HOLDS(!text.empty());
    }
    calls->open();
    for (auto& t : all) (void)co_await t;
  });
}

}  // namespace
