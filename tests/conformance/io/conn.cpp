// SPDX-License-Identifier: MIT
// Connecting to a host with several addresses: their order, their race, and what is told of
// failures.
#include "conn_support.h"

#include <heddle/io/resolve.h>

#include <string>
#include <vector>

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN);

h::task<> hold_until_the_end(h::stream_reader r, h::stream_writer) {
  (void)co_await error_of(r.read());
}

h::task<h::connection> open_x(h::connection_options o) {
  return h::open_connection("x.test", 80, std::move(o));
}

/// Connects to x, with this delay between two attempts, and finds `peer` at the other end.
h::task<> x_leads_to(h::address peer, h::any_duration attempt_delay) {
  h::connection_options o;
  o.attempt_delay = attempt_delay;
  auto connecting = open_x(o);
  auto c = co_await connecting;
  EQUAL(c.writer.peer_address().to_string(), peer.to_string());
  c.writer.close();
}

TEST_P(IO_CONN, IO_CONN_01_AnAddressThatSwallowsPacketsCostsTheDelayAlone) {
  const swallowing first;
  run([&]() -> h::task<> {
    auto starting = h::start_server(hold_until_the_end, "127.0.0.1", 0);
    auto s = co_await starting;
    name_these({first.at(), s.addresses().front()});
    auto connecting = x_leads_to(s.addresses().front(), 10ms);
    co_await connecting;
  });
}

TEST_P(IO_CONN, IO_CONN_02_ARefusalStartsTheNextAddressAtOnce) {
  const refusing first, second;
  run([&]() -> h::task<> {
    auto starting = h::start_server(hold_until_the_end, "127.0.0.1", 0);
    auto s = co_await starting;
    name_these({first.at(), second.at(), s.addresses().front()});
    auto connecting = x_leads_to(s.addresses().front(), 1h);
    co_await connecting;
  });
}

TEST_P(IO_CONN, IO_CONN_02_ARefusalBesideAnAddressThatIsSilentStartsTheNextToo) {
  const swallowing silent;
  const refusing second;
  run([&]() -> h::task<> {
    auto starting = h::start_server(hold_until_the_end, "127.0.0.1", 0);
    auto s = co_await starting;
    name_these({silent.at(), second.at(), s.addresses().front()});
    auto connecting = x_leads_to(s.addresses().front(), 5ms);
    co_await connecting;
  });
}

/// The texts of the failures in the order in which the addresses were tried.
h::task<std::vector<std::string>> failures_of_x(h::connection_options o) {
  o.all_errors = true;
  auto connecting = open_x(o);
  std::vector<std::string> texts;
  try {
    auto c = co_await connecting;
  } catch (const h::exception_group& group) {
    for (const auto& e : group.exceptions()) texts.push_back(h::describe(e));
  }
  co_return texts;
}

h::address six(int n) { return h::address::ip("fd00::" + std::to_string(n), 1); }

/// Nothing is sent to an IPv6 address, since there is no local one of that family.
h::task<std::vector<std::string>> failures_with(std::size_t first_family_count) {
  h::connection_options o;
  o.attempt_delay = 0ms;
  o.first_family_count = first_family_count;
  o.local_host = "127.0.0.1";
  return failures_of_x(o);
}

void came_in_order(const std::vector<std::string>& texts, const std::vector<h::address>& order) {
  EQUAL(texts.size(), order.size());
  for (std::size_t i = 0; i < order.size() && i < texts.size(); ++i)
    HOLDS(has(texts[i], order[i].to_string()));
}

TEST_P(IO_CONN, IO_CONN_03_TheFamiliesAlternate) {
  const refusing a, b;
  run([&]() -> h::task<> {
    name_these({six(1), six(2), six(3), a.at(), b.at()});
    const auto one = co_await failures_with(1);
    came_in_order(one, {six(1), a.at(), six(2), b.at(), six(3)});
    const auto two = co_await failures_with(2);
    came_in_order(two, {six(1), six(2), a.at(), six(3), b.at()});
    const auto all = co_await failures_with(9);
    came_in_order(all, {six(1), six(2), six(3), a.at(), b.at()});
    const auto error = co_await error_of(failures_with(0));
    EQUAL(name_of(error), "BadValue");
  });
}

TEST_P(IO_CONN, IO_CONN_04_OfTwoThatConnectAtOnceOneIsClosed) {
  run([&]() -> h::task<> {
    auto starting = h::start_server(hold_until_the_end, words("127.0.0.1", "127.0.0.2"), 0);
    auto s = co_await starting;
    name_these(s.addresses());
    h::connection_options o;
    o.attempt_delay = 0ms;
    const auto before = open_descriptors();
    const auto rounds = sized(support::sanitized ? 20 : 60, 10'000);
    for (std::size_t i = 0; i < rounds; ++i) {
      auto connecting = open_x(o);
      auto c = co_await connecting;
      HOLDS(c.writer.native_handle() >= 0);
      c.writer.abort();
    }
    {
      auto connecting = open_x(o);
      auto last = co_await connecting;
      co_await until([&] { return s.connections() == 1; });  // all others were closed
      last.writer.abort();
    }
    co_await until([&] { return s.connections() == 0 && open_descriptors() <= before; });
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN, IO_CONN_04_ACancelledRaceLeavesNoDescriptor) {
  const swallowing one, two;
  run([&]() -> h::task<> {
    name_these({one.at(), two.at()});
    const auto before = open_descriptors();
    for (int i = 0; i < 10; ++i) {
      h::connection_options o;
      o.attempt_delay = 0ms;
      auto racing = h::create_task(open_x(o));
      if (i % 2) co_await until([&] { return open_descriptors() >= before + 2; });
      racing.cancel();
      const std::string how = co_await ending(racing);
      EQUAL(how, "Cancelled");
    }
    co_await until([&] { return open_descriptors() <= before; });
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN, IO_CONN_06_AFailureListsEachAddressWithItsError) {
  const refusing a, b;
  run([&]() -> h::task<> {
    name_these({a.at(), b.at()});
    h::connection_options o;
    auto connecting = open_x(o);
    const auto error = co_await error_of(std::move(connecting));
    EQUAL(code_of(error), ECONNREFUSED);
    const auto text = h::describe(error);
    HOLDS(has(text, "x.test:80"));
    HOLDS(has(text, "connect " + a.at().to_string() + ": Connection refused"));
    HOLDS(has(text, "connect " + b.at().to_string() + ": Connection refused"));
    const auto group = co_await failures_of_x(o);
    EQUAL(group.size(), 2u);
    // One address: its own error.
    name_these({a.at()});
    auto alone = open_x(o);
    const auto single = co_await error_of(std::move(alone));
    EQUAL(code_of(single), ECONNREFUSED);
    HOLDS(has(h::describe(single), "connect " + a.at().to_string()));
  });
}

TEST_P(IO_CONN, IO_CONN_07_ALimitNamesTheHostAndTheAddressesThatWereTried) {
  const swallowing silent;
  run([&]() -> h::task<> {
    h::connection_options o;
    o.connect_limit = 20ms;
    auto numeric = h::open_connection("127.0.0.1", silent.at().port(), o);
    const auto one = co_await error_of(std::move(numeric));
    EQUAL(name_of(one), "Timeout");
    HOLDS(has(h::describe(one), "timed out after 20 ms"));
    HOLDS(has(h::describe(one), "connect " + silent.at().to_string() + ": no answer"));

    // The answer is kept, so the limit cannot pass before the first address is tried.
    auto names = std::make_shared<fixed_names>();
    names->set("x.test", {silent.at(), h::address::ip("127.0.0.1", 1)});
    h::resolver_options kept;
    kept.cache_for = 1h;
    h::set_resolver(names, kept);
    auto looking = h::resolve("x.test", 80);
    (void)co_await looking;
    o.attempt_delay = 1h;
    auto by_name = open_x(o);
    const auto two = co_await error_of(std::move(by_name));
    EQUAL(name_of(two), "Timeout");
    HOLDS(has(h::describe(two), "connecting to x.test:80"));
    HOLDS(has(h::describe(two), "connect " + silent.at().to_string() + ": no answer"));
    HOLDS(!has(h::describe(two), "127.0.0.1:1:"));
  });
}

/// Never answers.
class silent_names final : public h::resolver {
 public:
  h::task<h::name_answer> look_up(h::name_query) override {
    co_await h::sleep(24h);
    co_return h::name_answer{};
  }
};

TEST_P(IO_CONN, IO_CONN_07_TheLimitHoldsForTheLookUpToo) {
  run([&]() -> h::task<> {
    h::set_resolver(std::make_shared<silent_names>());
    h::connection_options o;
    o.connect_limit = 20ms;
    auto connecting = open_x(o);
    const auto error = co_await error_of(std::move(connecting));
    EQUAL(name_of(error), "Timeout");
    HOLDS(has(h::describe(error), "connecting to x.test:80 timed out"));
    HOLDS(has(h::describe(error), "looking the name up"));
  });
}

TEST_P(IO_CONN, IO_CONN_07_AFailureBeforeTheLimitIsToldAsItIs) {
  const refusing a;
  run([&]() -> h::task<> {
    h::connection_options o;
    o.connect_limit = 1h;
    name_these({a.at()});
    auto connecting = open_x(o);
    const auto error = co_await error_of(std::move(connecting));
    EQUAL(code_of(error), ECONNREFUSED);
    auto starting = h::start_server(hold_until_the_end, "127.0.0.1", 0);
    auto s = co_await starting;
    name_these(s.addresses());
    auto again = open_x(o);
    auto c = co_await again;
    EQUAL(c.writer.peer_address().to_string(), s.addresses().front().to_string());
    c.writer.close();
  });
}

}  // namespace
