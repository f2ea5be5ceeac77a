// SPDX-License-Identifier: MIT
// The names that a session keeps: how long, how many, who waits for whom.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/names.h>
#include <heddle/io/resolver.h>
#include <heddle/sched/create_task.h>
#include <heddle/sync/event.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_DNS_NAMES);

std::string port_text(std::uint16_t port) { return ":" + std::to_string(port); }

/// Answers every name with those addresses, and logs the names. Names that begin with "bad" do not
/// exist. If it has a gate, it waits there.
class test_names : public h::resolver {
 public:
  h::task<h::name_answer> look_up(h::name_query q) override {
    ++under_way;
    const std::shared_ptr<void> leaving(nullptr, [this](void*) { --under_way; });
    log.add(q.host);
    if (gate) {
      auto waiting = gate->wait();
      co_await waiting;
    }
    if (q.host.starts_with("bad")) h::throw_name_error(h::name_error::no_such_name, q.host);
    h::name_answer a;
    for (const auto& text : addresses) a.addresses.push_back(h::address::ip(text, q.port));
    for (const auto port : ports) a.addresses.push_back(h::address::ip("127.0.0.1", port));
    co_return a;
  }
  [[nodiscard]] std::string asked() const {
    std::string all;
    for (const auto& l : log.lines()) all += (all.empty() ? "" : " ") + l;
    return all;
  }

  std::vector<std::string> addresses;
  std::vector<std::uint16_t> ports;
  std::unique_ptr<h::event> gate;
  journal log;
  std::atomic<int> under_way{0};
};

template <class T>
h::task<std::exception_ptr> end_of(h::task_handle<T>& work) {
  try {
    (void)co_await work;
  } catch (...) { co_return std::current_exception(); }
  co_return nullptr;
}

/// A session that opens a connection for each request.
http::session_options by(const std::shared_ptr<test_names>& names) {
  http::session_options o;
  o.keep = 0;
  o.dns.resolver = names;
  o.dns.ttl = std::chrono::hours(1);
  return o;
}

std::shared_ptr<test_names> local_names() {
  auto names = std::make_shared<test_names>();
  names->addresses = {"127.0.0.1"};
  return names;
}

h::task<> get_all(http::session& client, std::uint16_t port, std::string hosts) {
  for (const char host : hosts) {
    auto asking = client.get(std::string("http://") + host + ".test" + port_text(port) + "/");
    const auto r = co_await asking;
    EQUAL(r.body, "x");
  }
}

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_02_AnAnswerIsKeptAndTheLeastUsedNameLeaves) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("x"); });
    co_await p.start();
    auto names = local_names();
    auto options = by(names);
    options.dns.entries = 2;
    http::session client(options);
    co_await get_all(client, p.port(), "aabaca");
    EQUAL(names->asked(), "a.test b.test c.test");  // "c" took the place of "b"
    co_await get_all(client, p.port(), "b");
    EQUAL(names->asked(), "a.test b.test c.test b.test");
    EQUAL(p.connections(), 7);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_02_AnAnswerThatHasRunOutIsAskedForAgain) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("x"); });
    co_await p.start();
    for (const int nanoseconds : {0, 1}) {
      auto names = local_names();
      auto options = by(names);
      options.dns.ttl = std::chrono::nanoseconds(nanoseconds);
      http::session client(options);
      co_await get_all(client, p.port(), "aa");
      EQUAL(names->asked(), "a.test a.test");
    }
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_02_AThousandNamesAreKeptByDefault) {
  run([]() -> h::task<> {
    EQUAL(http::dns_options().ttl.get(), h::duration(std::chrono::seconds(10)));
    auto names = local_names();
    http::dns_options o;
    o.resolver = names;
    o.ttl = std::chrono::hours(1);
    const auto kept = std::make_shared<http::detail::session_names>(o);
    for (int i = 0; i < 1001; ++i) {
      auto looking = kept->addresses("h" + std::to_string(i), 80, false);
      const auto a = co_await looking;
      EQUAL(a.addresses.size(), 1u);
    }
    EQUAL(kept->size(), 1000u);
    auto looking_again = kept->addresses("h1", 80, false);
    const auto again = co_await looking_again;
    HOLDS(again.kept);
    auto looking_first = kept->addresses("h0", 80, false);
    const auto first = co_await looking_first;
    HOLDS(!first.kept);
  });
}

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_03_RequestsAtOnceWaitForOneLookUp) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("x"); });
    co_await p.start();
    auto names = local_names();
    names->gate = std::make_unique<h::event>();
    http::session client(by(names));
    const std::string url = "http://one.test" + port_text(p.port()) + "/";
    std::vector<h::task_handle<http::client_response>> all;
    for (int i = 0; i < 50; ++i) all.push_back(h::create_task(client.get(url)));
    for (const auto& one : all) co_await until_waiting(one);
    while (names->under_way == 0) co_await h::yield_now();
    all[7].cancel();
    const auto cancelled = co_await end_of(all[7]);
    HOLDS(cancelled != nullptr);
    EQUAL(names->under_way, 1);
    names->gate->set();
    for (int i = 0; i < 50; ++i) {
      if (i == 7) continue;
      const auto r = co_await all[static_cast<std::size_t>(i)];
      EQUAL(r.body, "x");
    }
    EQUAL(names->asked(), "one.test");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_03_AFailureIsEverybodysAndIsNotKept) {
  run([]() -> h::task<> {
    auto names = local_names();
    names->gate = std::make_unique<h::event>();
    http::dns_options o;
    o.resolver = names;
    const auto kept = std::make_shared<http::detail::session_names>(o);
    std::vector<h::task_handle<h::name_answer>> all;
    for (int i = 0; i < 10; ++i) all.push_back(h::create_task(kept->addresses("bad", 80, false)));
    while (names->under_way == 0) co_await h::yield_now();
    names->gate->set();
    for (auto& one : all) {
      const auto error = co_await end_of(one);
      HOLDS(is_a<std::system_error>(error));
    }
    EQUAL(kept->size(), 0u);
    const auto before = names->log.lines().size();
    const auto again = co_await error_of(kept->addresses("bad", 80, false));
    HOLDS(is_a<std::system_error>(again));
    EQUAL(names->log.lines().size(), before + 1);
  });
}

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_03_ALookUpThatNobodyWaitsForIsCancelled) {
  run([]() -> h::task<> {
    auto names = local_names();
    names->gate = std::make_unique<h::event>();
    http::session client(by(names));
    auto asking = h::create_task(client.get("http://one.test:1/"));
    while (names->under_way == 0) co_await h::yield_now();
    asking.cancel();
    const auto error = co_await end_of(asking);
    HOLDS(error != nullptr);
    while (names->under_way != 0) co_await h::yield_now();
  });
}

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_04_ConnectionsBeginWithDifferentAddressesInTurn) {
  run([]() -> h::task<> {
    std::vector<std::unique_ptr<peer>> peers;
    auto names = std::make_shared<test_names>();
    for (int i = 0; i < 3; ++i) {
      peers.push_back(std::make_unique<peer>([](const http::request&, int) { return ok("x"); }));
      co_await peers.back()->start();
      names->ports.push_back(peers.back()->port());
    }
    http::session client(by(names));
    co_await get_all(client, 80, "aaa");
    for (const auto& p : peers) EQUAL(p->connections(), 1);
    EQUAL(names->asked(), "a.test");
    // One that has gone is passed over: the name has others.
    co_await peers[1]->stop();
    co_await get_all(client, 80, "aaa");
    EQUAL(peers[0]->connections() + peers[2]->connections(), 5);
    co_await peers[0]->stop();
    co_await peers[2]->stop();
  });
}

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_04_WhenAllOfAKeptAnswerRefuseTheNameIsAskedForAnew) {
  run([]() -> h::task<> {
    auto names = std::make_shared<test_names>();
    peer old([](const http::request&, int) { return ok("x"); });
    co_await old.start();
    names->ports = {old.port()};
    http::session client(by(names));
    peer now([](const http::request&, int) { return ok("x"); });
    co_await now.start();
    co_await get_all(client, 80, "a");
    co_await old.stop();
    names->ports = {now.port()};
    co_await get_all(client, 80, "aa");
    EQUAL(names->asked(), "a.test a.test");
    EQUAL(now.connections(), 2);
    co_await now.stop();
  });
}

/// A name server that never answers, until it is let go.
struct dead_server {
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return over; });
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    over = true;
    changed.notify_all();
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;
};

TEST_P(HTTP_CLI_DNS_NAMES, HTTP_CLI_DNS_07_ADeadNameServerDelaysNoOtherHost) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("x"); });
    co_await p.start();
    auto dead = std::make_shared<dead_server>();
    h::set_resolver([dead](const h::name_query& q) {
      if (q.host == "x.test") dead->wait();
      h::name_answer a;
      a.addresses.push_back(h::address::ip("127.0.0.1", q.port));
      return a;
    });
    http::session_options o;
    o.keep = 0;
    o.pool.limit = 0;
    o.dns.ttl = std::chrono::hours(1);
    http::session client(o);
    co_await get_all(client, p.port(), "y");
    const std::string url = "http://x.test" + port_text(p.port()) + "/";
    std::vector<h::task_handle<http::client_response>> lost;
    http::timeouts soon;
    soon.connect = std::chrono::milliseconds(300);
    for (int i = 0; i < 300; ++i) {
      auto request = client.at(url);
      request.timeouts(soon);
      lost.push_back(h::create_task(request.get()));
    }
    co_await get_all(client, p.port(), "yyyyyyyyyyyyyyyyyyyy");
    for (auto& one : lost) {
      const auto error = co_await end_of(one);
      EQUAL(phase_of(error), "connect");
    }
    dead->let_go();
    h::reset_resolver();
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
