// SPDX-License-Identifier: MIT
// Answers that were kept: what becomes of them when their addresses refuse, and who is first.
#include "conn_support.h"

#include <heddle/io/resolve.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace {

using namespace conformance;

REACTOR_CASES(IO_DNS_KEPT);

using found = std::vector<h::address>;

/// Answers with what is set, for an hour; counts.
class set_names final : public h::resolver {
 public:
  void set(found to) {
    const std::lock_guard hold(lock_);
    addresses_ = std::move(to);
  }
  h::task<h::name_answer> look_up(h::name_query q) override {
    ++asked;
    if (q.fresh) ++asked_anew;
    h::name_answer a;
    a.holds = 1h;
    const std::lock_guard hold(lock_);
    for (const auto& at : addresses_)
      if (q.family == 0 || q.family == at.family()) a.addresses.push_back(at);
    co_return a;
  }
  std::atomic<int> asked{0};
  std::atomic<int> asked_anew{0};

 private:
  std::mutex lock_;
  found addresses_;
};

std::shared_ptr<set_names> keep_names(found first) {
  auto names = std::make_shared<set_names>();
  names->set(std::move(first));
  h::resolver_options o;
  o.cache_for = 1h;
  h::set_resolver(names, o);
  return names;
}

h::task<std::string> host_met(h::connection_options o) {
  auto connecting = h::open_connection("x.test", 1, o);
  auto c = co_await connecting;
  const std::string host = c.writer.peer_address().host();
  c.writer.close();
  co_return host;
}

/// With and without a limit, a group of errors, and families apart.
std::vector<h::connection_options> ways() {
  std::vector<h::connection_options> all(4);
  all[1].connect_limit = 1h;
  all[2].all_errors = true;
  all[3].resolution_delay = 1h;
  return all;
}

TEST_P(IO_DNS_KEPT, IO_DNS_16_WhenAllKeptAddressesRefuseTheResolverIsAskedAnewOnce) {
  run([]() -> h::task<> {
    const refusing dead, dead_too;
    auto s = co_await h::start_server(echo, std::string("127.0.0.1"), 0);
    const auto live = h::address::ip("127.0.0.1", s.port());
    for (const auto& o : ways()) {
      for (const bool two : {false, true}) {
        found old{dead.at()};
        if (two) old.push_back(dead_too.at());
        auto names = keep_names(old);
        const int look_ups = o.resolution_delay ? 2 : 1;
        // What was just asked for is not asked for again.
        const std::string first = co_await ending(host_met(o));
        HOLDS(first != "value");
        EQUAL(names->asked_anew.load(), 0);
        // The new answer has nothing new: the error stays.
        const std::string second = co_await ending(host_met(o));
        HOLDS(second != "value");
        EQUAL(names->asked_anew.load(), look_ups);
        // It has.
        old.push_back(live);
        names->set(old);
        const std::string third = co_await host_met(o);
        EQUAL(third, "127.0.0.1");
        EQUAL(names->asked_anew.load(), 2 * look_ups);
        // It was kept. That there is no IPv6 address was not.
        const int asked = names->asked + look_ups - 1;
        const std::string fourth = co_await host_met(o);
        EQUAL(fourth, "127.0.0.1");
        EQUAL(names->asked.load(), asked);
      }
    }
  });
}

TEST_P(IO_DNS_KEPT, IO_DNS_16_TheErrorNamesAllThatWereTried) {
  run([]() -> h::task<> {
    const refusing one, two;
    auto names = keep_names({one.at()});
    h::connection_options o;
    const auto first = co_await error_of(host_met(o));
    EQUAL(code_of(first), ECONNREFUSED);
    names->set({two.at()});
    const auto second = co_await error_of(host_met(o));
    EQUAL(code_of(second), ECONNREFUSED);
    HOLDS(has(h::describe(second), one.at().to_string()));
    HOLDS(has(h::describe(second), two.at().to_string()));
  });
}

TEST_P(IO_DNS_KEPT, IO_DNS_16_EqualsTakeTurnsAtTheFront) {
  run([]() -> h::task<> {
    const auto four = [](const char* host) { return h::address::ip(host, 80); };
    const found all{four("192.0.2.1"),   four("192.0.2.2"),   four("192.0.2.3"),
                    four("2001:db8::1"), four("2001:db8::2"), four("127.0.0.1")};
    auto names = keep_names(all);
    std::string fours, sixes;
    for (int i = 0; i < 4; ++i) {
      const found got = co_await h::resolve("x.test", 80);
      EQUAL(got.size(), all.size());
      fours += got[0].host().back();
      sixes += got[3].host().back();
      EQUAL(got[5].host(), "127.0.0.1");  // of another scope
    }
    EQUAL(fours, "1123");
    EQUAL(sixes, "1121");
    EQUAL(names->asked.load(), 1);
    // Who asks for a fresh answer gets one as it came, and it is kept.
    h::resolve_options how;
    how.fresh = true;
    auto asking = h::resolve("x.test", 80, how);
    const found anew = co_await asking;
    HOLDS(anew == all);
    EQUAL(names->asked_anew.load(), 1);
  });
}

}  // namespace
