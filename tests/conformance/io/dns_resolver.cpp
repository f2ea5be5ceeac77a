// SPDX-License-Identifier: MIT
// The resolver of a runtime: its cache, who uses it, services, names of addresses, bad names, and
// its end.
#include "conn_support.h"

#include <heddle/io/http/server.h>
#include <heddle/io/http/session.h>
#include <heddle/io/resolve.h>

#include <netdb.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

namespace {

using namespace conformance;

REACTOR_CASES(IO_DNS_RESOLVER);

using found = std::vector<h::address>;

h::task<found> look_up(std::string name) { return h::resolve(std::move(name), 80); }

/// Answers with what is set, for as long as is set; counts.
class changing_names final : public h::resolver {
 public:
  h::task<h::name_answer> look_up(h::name_query q) override {
    ++asked;
    h::name_answer a;
    a.addresses.push_back(h::address::ip(now == 1 ? "127.0.0.1" : "127.0.0.2", q.port));
    a.holds = holds;
    co_return a;
  }
  std::atomic<int> asked{0};
  std::atomic<int> now{1};
  std::optional<h::any_duration> holds;  // set while nothing is asked
};

h::resolver_options keep_for(h::any_duration most) {
  h::resolver_options o;
  o.cache_for = most;
  return o;
}

h::task<std::string> host_of_x() {
  const auto got = co_await look_up("x.test");
  co_return got.front().host();
}

TEST_P(IO_DNS_RESOLVER, IO_DNS_12_AnAnswerIsKeptForAsLongAsItHolds) {
  run([]() -> h::task<> {
    auto names = std::make_shared<changing_names>();
    names->holds = 1h;
    h::set_resolver(names, keep_for(24h));
    for (int i = 0; i < 3; ++i) (void)co_await look_up("x.test");
    EQUAL(names->asked.load(), 1);
    (void)co_await look_up("y.test");
    EQUAL(names->asked.load(), 2);
    // One that holds for no time is not kept; nor is any, if nobody asks for it.
    names->holds = 0s;
    for (int i = 0; i < 3; ++i) (void)co_await look_up("z.test");
    EQUAL(names->asked.load(), 5);
    names->holds = 1h;
    h::set_resolver(names);
    for (int i = 0; i < 3; ++i) (void)co_await look_up("x.test");
    EQUAL(names->asked.load(), 8);
    // One that does not say is kept for the limit.
    names->holds.reset();
    h::set_resolver(names, keep_for(1h));
    for (int i = 0; i < 3; ++i) (void)co_await look_up("x.test");
    EQUAL(names->asked.load(), 9);
  });
}

TEST_P(IO_DNS_RESOLVER, IO_DNS_12_TheLimitsOfTheCacheHold) {
  run([]() -> h::task<> {
    auto names = std::make_shared<changing_names>();
    names->holds = 24h;
    h::set_resolver(names, keep_for(1ms));  // capped
    (void)co_await look_up("x.test");
    co_await h::sleep(2ms);
    (void)co_await look_up("x.test");
    EQUAL(names->asked.load(), 2);
    auto two = keep_for(1h);
    two.cache_most = 2;
    h::set_resolver(names, two);
    names->asked = 0;
    for (const char* name : {"a.test", "b.test", "c.test"}) (void)co_await look_up(name);
    (void)co_await look_up("c.test");
    (void)co_await look_up("b.test");
    EQUAL(names->asked.load(), 3);
    (void)co_await look_up("a.test");  // it was the oldest
    EQUAL(names->asked.load(), 4);
  });
}

TEST_P(IO_DNS_RESOLVER, IO_DNS_13_ANewAddressIsUsedWhenTheTimeOfTheOldOneIsOver) {
  run([]() -> h::task<> {
    auto names = std::make_shared<changing_names>();
    names->holds = 1ms;
    h::set_resolver(names, keep_for(1h));
    std::string host = co_await host_of_x();
    EQUAL(host, "127.0.0.1");
    names->now = 2;
    co_await h::sleep(2ms);
    host = co_await host_of_x();
    EQUAL(host, "127.0.0.2");
    // And when the resolver is replaced.
    names->holds = 1h;
    host = co_await host_of_x();
    names->now = 1;
    h::set_resolver(names, keep_for(1h));
    host = co_await host_of_x();
    EQUAL(host, "127.0.0.1");
  });
}

TEST_P(IO_DNS_RESOLVER, IO_DNS_21_AnAddressHasANameAndAService) {
  run([]() -> h::task<> {
    const auto at = h::address::ip("127.0.0.1", 80);
    h::reverse_options o;
    o.numeric_host = o.numeric_service = true;
    auto numeric = h::resolve_address(at, o);
    const h::host_and_service numbers = co_await numeric;
    EQUAL(numbers.host, "127.0.0.1");
    EQUAL(numbers.service, "80");
    o.numeric_host = false;
    auto by_name = h::resolve_address(at, o);
    const h::host_and_service named = co_await by_name;
    HOLDS(!named.host.empty() && named.host != "127.0.0.1");
    EQUAL(named.service, "80");
    o.numeric_host = true;
    o.numeric_service = false;
    auto by_service = h::resolve_address(at, o);
    const h::host_and_service served = co_await by_service;
    EQUAL(served.host, "127.0.0.1");
    HOLDS(served.service == "http" || ::getservbyname("http", "tcp") == nullptr);
    auto wrong = h::resolve_address(h::address::unix_path("/x"));
    const auto error = co_await error_of(std::move(wrong));
    EQUAL(name_of(error), "BadValue");
  });
}

/// Notes the last query.
class noting_names final : public h::resolver {
 public:
  h::task<h::name_answer> look_up(h::name_query q) override {
    {
      const std::lock_guard hold(lock_);
      last_ = q;
    }
    h::name_answer a;
    a.addresses.push_back(h::address::ip("127.0.0.1", q.service == "own" ? 4711 : q.port));
    if (q.canonical_name) a.canonical_name = "real." + q.host;
    co_return a;
  }
  [[nodiscard]] h::name_query last() {
    const std::lock_guard hold(lock_);
    return last_;
  }

 private:
  std::mutex lock_;
  h::name_query last_;
};

TEST_P(IO_DNS_RESOLVER, IO_DNS_22_ServicesKindsAndCanonicalNames) {
  run([]() -> h::task<> {
    auto names = std::make_shared<noting_names>();
    h::set_resolver(names);
    h::resolve_options how;
    how.service = "own";
    how.type = SOCK_DGRAM;
    how.family = AF_INET;
    how.only_own_families = true;
    auto looking = h::resolve("x.test", 0, how);
    const found got = co_await looking;
    EQUAL(got.front().to_string(), "127.0.0.1:4711");
    const auto q = names->last();
    EQUAL(q.service, "own");
    EQUAL(q.type, int{SOCK_DGRAM});
    EQUAL(q.family, AF_INET);
    HOLDS(q.only_own_families && !q.passive && !q.canonical_name);
    auto by_name = h::resolve_name("x.test", 81);
    const h::name_answer a = co_await by_name;
    EQUAL(a.canonical_name, "real.x.test");
    EQUAL(a.addresses.front().port(), 81);
    how.service = "8080";
    auto number = h::resolve("127.0.0.1", 0, how);
    const found by_number = co_await number;
    EQUAL(by_number.front().to_string(), "127.0.0.1:8080");
    auto both = h::resolve("127.0.0.1", 80, how);
    const auto error = co_await error_of(std::move(both));
    EQUAL(name_of(error), "BadValue");
  });
}

TEST_P(IO_DNS_RESOLVER, IO_DNS_23_WhatCanBeNoNameIsRefusedWithoutAQuery) {
  run([]() -> h::task<> {
    auto names = std::make_shared<noting_names>();
    h::set_resolver(names);
    const std::string part(63, 'a');
    const std::string longest = part + "." + part + "." + part + "." + std::string(61, 'a');
    for (const auto& bad :
         {std::string(64, 'a') + ".test", longest + "a", std::string("a..test"),
          std::string(".test"), std::string("."), std::string("a.test.."), std::string("a.test "),
          std::string(" a.test"), std::string("a.te\nst"), std::string("a\0b", 3),
          std::string("b\xc3\xbc"
                      "cher.test")}) {
      const auto error = co_await error_of(look_up(bad));
      EQUAL(name_of(error), "BadValue");
    }
    const auto blank = co_await error_of(look_up("a b.test"));
    EQUAL(code_of(blank), static_cast<int>(h::name_error::no_such_name));
    EQUAL(names->last().host, "");
    for (const auto& good : {longest, longest + ".", part, std::string("_x.-.test"),
                             std::string("xn--bcher-kva.test")}) {
      const auto got = co_await look_up(good);
      EQUAL(got.size(), 1u);
      EQUAL(names->last().host, good);
    }
  });
}

TEST_P(IO_DNS_RESOLVER, IO_DNS_25_EveryVerbAsksTheResolverOfTheRuntime) {
  run([]() -> h::task<> {
    auto names = name_these({h::address::ip("127.0.0.1", 0)});
    auto s = co_await h::start_server(echo, std::string("x.test"), 0);
    HOLDS(names->asked == 1);
    EQUAL(s.addresses().front().host(), "127.0.0.1");
    auto connecting = h::open_connection("x.test", s.port());
    auto c = co_await connecting;
    HOLDS(names->asked == 2);
    c.writer.write("hello\n");
    const std::string line = co_await c.reader.read_line();
    EQUAL(line, "hello\n");
    c.writer.close();
    h::http::server web;
    web.get("/", [](h::http::request&) { return h::http::response::text("page"); });
    auto starting = web.start("x.test", 0);
    co_await starting;
    h::http::session client;
    auto getting = client.get("http://x.test:" + std::to_string(web.port()) + "/");
    const auto page = co_await getting;
    EQUAL(page.text(), "page");
    HOLDS(names->asked == 4);
    auto stopping = web.stop(1s);
    co_await stopping;
    // Numeric addresses are not asked for.
    (void)co_await look_up("127.0.0.9");
    HOLDS(names->asked == 4);
  });
}

struct held_call {
  std::mutex lock;
  std::condition_variable changed;
  bool is_open = false;
  std::atomic<bool> begun{false};
  std::atomic<bool> returns{false};
};

TEST_P(IO_DNS_RESOLVER, IO_DNS_25_ARuntimeThatEndsWaitsForNoLookUpAndIsNotCalledBack) {
  for (const auto kind : reactors()) {
    options.reactor = kind;
    auto held = std::make_shared<held_call>();
    std::atomic<int> gone{0};
    auto kept = support::counts_when_gone(gone);
    cases::run([&]() -> h::task<> {
      h::set_resolver([held, kept](const h::name_query&) {
        held->begun = true;
        std::unique_lock hold(held->lock);
        held->changed.wait(hold, [&] { return held->is_open; });
        held->returns = true;
        return h::name_answer{};
      });
      (void)h::create_task(look_up("x.test"));
      co_await until([&] { return held->begun.load(); });
    });
    kept.reset();
    HOLDS(!held->returns);
    EQUAL(gone.load(), 0);  // the call owns the function
    {
      const std::lock_guard hold(held->lock);
      held->is_open = true;
      held->changed.notify_all();
    }
    while (gone == 0) ::usleep(1000);  // a thread without a loop lets it go
    HOLDS(held->returns.load());
  }
  EQUAL(report_count(), 0u);
}

/// Never answers; counts what began and what ended.
class silent_names final : public h::resolver {
 public:
  explicit silent_names(std::atomic<int>& e) : ended(e) {}
  h::task<h::name_answer> look_up(h::name_query) override {
    ++begun;
    const auto ends = support::counts_when_gone(ended);
    co_await h::sleep(24h);
    co_return h::name_answer{};
  }
  std::atomic<int> begun{0};
  std::atomic<int>& ended;
};

TEST_P(IO_DNS_RESOLVER, IO_DNS_25_TheEndOfARuntimeCancelsLookUpsByTasks) {
  for (const auto kind : reactors()) {
    options.reactor = kind;
    std::atomic<int> ended{0};
    std::weak_ptr<silent_names> left;
    cases::run([&]() -> h::task<> {
      auto names = std::make_shared<silent_names>(ended);
      left = names;
      h::set_resolver(names);
      for (int i = 0; i < 10; ++i) (void)h::create_task(look_up("n" + std::to_string(i) + ".test"));
      co_await until([&] { return names->begun == 10; });
    });
    EQUAL(ended.load(), 10);
    HOLDS(left.expired());
  }
  EQUAL(report_count(), 0u);
}

}  // namespace
