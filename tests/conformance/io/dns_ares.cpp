// SPDX-License-Identifier: MIT
// Names by c-ares: what is asked of a server, what is believed, and what is kept.
#include "ares_support.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace conformance;

REACTOR_CASES(IO_DNS_ARES);

const char* const no_such_name = "-2";
const char* const timed_out = "-3";
const char* const server_failure = "-4";
const char* const no_data = "-5";

TEST_P(IO_DNS_ARES, IO_DNS_02_BothFamiliesAreAskedForAtOneTime) {
  run([]() -> h::task<> {
    name_server s([](const question& q) {
      return say(reply(q).with("192.0.2.1", 60).with("192.0.2.2", 60).with("::1", 60));
    });
    const auto names = use(ask_only(s));
    const found got = co_await h::resolve("x.test", 81);
    EQUAL(got.size(), 3u);
    for (const auto& a : got) EQUAL(a.port(), 81);
    EQUAL(s.asked(), 2);
    auto by_name = h::resolve_name("x.test", 81);
    const h::name_answer a = co_await by_name;
    EQUAL(a.canonical_name, "x.test");
    EQUAL(s.asked(), 2);
    h::resolve_options how;
    how.service = "4711";
    auto served = h::resolve("x.test", 0, how);
    const found by_service = co_await served;
    EQUAL(by_service.front().port(), 4711);
  });
}

TEST_P(IO_DNS_ARES, IO_DNS_24_WhatIsNoAnswerToTheQueryIsDropped) {
  run([]() -> h::task<> {
    name_server s([](const question& q) {
      sent_replies all;
      const reply lie = reply(q).with("192.0.2.66", 60);
      all.push_back({lie.bytes(), true});
      all.push_back({reply(lie).other_id().bytes(), false});
      all.push_back({reply(lie).other_question().bytes(), false});
      all.push_back({lie.bytes().substr(0, 11), false});
      all.push_back({reply(q).with("192.0.2.1", 60).bytes(), false});
      return all;
    });
    const auto names = use(ask_only(s));
    for (int i = 0; i < 8; ++i) {
      const std::string got = co_await first_four("n" + std::to_string(i) + ".test");
      EQUAL(got, "192.0.2.1");
    }
    // Numbers and ports are not counted up: a guess at the next one is as good as any.
    const auto ids = s.ids();
    HOLDS(ids.size() > 4);
    HOLDS(*ids.rbegin() - *ids.begin() > 100);
    HOLDS(s.ports().size() > 1);
  });
}

TEST_P(IO_DNS_ARES, IO_DNS_17_ATruncatedAnswerIsAskedForByTcpAndMayComeInPieces) {
  run([]() -> h::task<> {
    name_server s([](const question& q) {
      if (!q.tcp) return say(reply(q).truncated());
      reply r(q);
      for (int i = 1; i <= 100; ++i) r.with("192.0.2." + std::to_string(i), 60);
      return say(r);
    });
    const auto names = use(ask_only(s));
    const found got = co_await four("x.test");
    EQUAL(got.size(), 100u);
    for (std::size_t i = 0; i < got.size(); ++i)
      EQUAL(got[i].host(), "192.0.2." + std::to_string(i + 1));
    EQUAL(s.udp_asked.load(), 1);
    EQUAL(s.tcp_asked.load(), 1);
  });
}

TEST_P(IO_DNS_ARES, IO_DNS_06_TheServersFailuresHaveCodesAndTheName) {
  run([]() -> h::task<> {
    name_server s([](const question& q) {
      if (q.is("nothing.test")) return say(reply(q, 3));
      if (q.is("broken.test")) return say(reply(q, 2));
      if (q.is("refused.test")) return say(reply(q, 5));
      if (q.is("none.test")) return say(reply(q));
      return sent_replies();
    });
    auto o = ask_only(s);
    auto names = use(o);
    const auto error = co_await error_of(four("nothing.test"));
    HOLDS(has(h::describe(error), "nothing.test"));
    std::string got = co_await first_four("nothing.test");
    EQUAL(got, no_such_name);
    got = co_await first_four("broken.test");
    EQUAL(got, server_failure);
    got = co_await first_four("refused.test");
    EQUAL(got, server_failure);
    got = co_await first_four("none.test");
    EQUAL(got, no_data);
    // Without an SOA record nothing of it was kept, and each server is asked as often as is said.
    EQUAL(s.asked("nothing.test"), 2);
    o.timeout = 1ms;
    o.tries = 3;
    names = use(o);
    got = co_await first_four("silent.test");
    EQUAL(got, timed_out);
    co_await until([&] { return s.asked("silent.test") == 3; });
    // The next server is asked.
    o = ask_only(s);
    o.servers.insert(o.servers.begin(), h::address::ip("127.0.0.1", 1));  // nobody is there
    names = use(o);
    got = co_await first_four("nothing.test");
    EQUAL(got, no_such_name);
  });
}

TEST_P(IO_DNS_ARES, IO_DNS_12_AnAnswerIsKeptForAsLongAsItSays) {
  run([]() -> h::task<> {
    name_server s([](const question& q) {
      return say(reply(q).with("192.0.2.1", q.is("zero.test") ? 0 : 600).with("192.0.2.2", 60));
    });
    auto o = ask_only(s);
    auto names = use(o);
    std::string order;
    for (int i = 0; i < 4; ++i) order += (co_await first_four("kept.test")).back();
    EQUAL(order, "1121");
    for (int i = 0; i < 3; ++i) (void)co_await first_four("zero.test");
    EQUAL(s.asked("kept.test"), 1);
    EQUAL(s.asked("zero.test"), 3);
    (void)co_await first_four("KEPT.test");
    EQUAL(s.asked("KEPT.test"), 0);
    h::name_query q;
    q.host = "kept.test";
    q.family = AF_INET;
    auto asking = names->look_up(q);
    const h::name_answer kept = co_await asking;
    HOLDS(kept.kept && kept.holds && *kept.holds <= h::any_duration(60s));  // the lesser time
    names->flush();
    (void)co_await first_four("kept.test");
    EQUAL(s.asked("kept.test"), 2);
    o.cache_for = 1ms;
    names = use(o);
    (void)co_await first_four("kept.test");
    co_await h::sleep(2ms);
    (void)co_await first_four("kept.test");
    EQUAL(s.asked("kept.test"), 4);
    o.cache_for = 1h;
    o.cache_most = 1;
    names = use(o);
    for (const char* name : {"a.test", "b.test", "b.test", "a.test"})
      (void)co_await first_four(name);
    EQUAL(s.asked("a.test"), 2);
    EQUAL(s.asked("b.test"), 1);
  });
}

sent_replies deny(const question& q) {
  if (q.is("absent.test")) return say(reply(q, 3).soa(600, 60));
  if (q.is("empty.test")) return say(reply(q).soa(60, 600));
  if (q.is("none.test")) return say(reply(q, 3).soa(600, 0));
  if (q.is("nosoa.test")) return say(reply(q, 3));
  if (q.is("broken.test")) return say(reply(q, 2).soa(600, 600));
  return {};
}

TEST_P(IO_DNS_ARES, IO_DNS_15_ThatThereIsNoSuchNameIsKeptForTheTimeOfTheZone) {
  run([]() -> h::task<> {
    name_server s(deny);
    auto o = ask_only(s);
    auto names = use(o);
    for (int i = 0; i < 2; ++i) {
      std::string got = co_await first_four("absent.test");
      EQUAL(got, no_such_name);
      got = co_await first_four("empty.test");
      EQUAL(got, no_data);
      for (const char* name : {"none.test", "nosoa.test"}) {
        got = co_await first_four(name);
        EQUAL(got, no_such_name);
      }
      got = co_await first_four("broken.test");
      EQUAL(got, server_failure);
    }
    EQUAL(s.asked("absent.test"), 1);
    EQUAL(s.asked("empty.test"), 1);
    EQUAL(s.asked("none.test"), 2);
    EQUAL(s.asked("nosoa.test"), 2);
    EQUAL(s.asked("broken.test"), 2);
    // Both families at one time: kept as well.
    const auto error = co_await error_of(h::resolve("absent.test", 80));
    const auto again = co_await error_of(h::resolve("absent.test", 80));
    EQUAL(code_of(error), code_of(again));
    EQUAL(s.asked("absent.test"), 3);
    o.timeout = 1ms;
    names = use(o);
    (void)co_await first_four("silent.test");
    (void)co_await first_four("silent.test");
    co_await until([&] { return s.asked("silent.test") == 2; });
  });
}

TEST_P(IO_DNS_ARES, IO_DNS_15_TheTimeOfAKeptFailureIsCapped) {
  run([]() -> h::task<> {
    name_server s(deny);
    auto o = ask_only(s);
    for (const auto cap : {h::any_duration(1ms), h::any_duration(0s)}) {
      o.negative_for = cap;
      const auto names = use(o);
      const int before = s.asked("absent.test");
      (void)co_await first_four("absent.test");
      co_await h::sleep(2ms);
      (void)co_await first_four("absent.test");
      EQUAL(s.asked("absent.test"), before + 2);
    }
  });
}

TEST_P(IO_DNS_ARES, IO_DNS_16_WhenAllKeptAddressesRefuseTheServerIsAskedAnew) {
  run([]() -> h::task<> {
    auto live = co_await h::start_server(echo, std::string("127.0.0.1"), 0);
    std::atomic<bool> moved{false};
    name_server s([&moved](const question& q) {
      return say(reply(q).with(moved ? "127.0.0.1" : "127.0.0.9", 600));
    });
    const auto names = use(ask_only(s));
    h::connection_options o;
    o.family = AF_INET;
    auto first = h::open_connection("x.test", live.port(), o);
    const auto error = co_await error_of(std::move(first));
    EQUAL(code_of(error), ECONNREFUSED);
    EQUAL(s.asked(), 1);
    moved = true;
    for (int i = 0; i < 2; ++i) {
      auto connecting = h::open_connection("x.test", live.port(), o);
      auto c = co_await connecting;
      EQUAL(c.writer.peer_address().host(), "127.0.0.1");
      c.writer.close();
      EQUAL(s.asked(), 2);
    }
  });
}

TEST_P(IO_DNS_ARES, IO_DNS_05_AFamilyThatFailsLeavesTheOther) {
  run([]() -> h::task<> {
    name_server s([](const question& q) {
      if (q.four()) return say(reply(q).with("127.0.0.1", 600));
      return q.is("silent.test") ? sent_replies() : say(reply(q, 2));
    });
    const auto names = use(ask_only(s));
    for (int i = 1; i <= 2; ++i) {
      const found got = co_await h::resolve("broken.test", 80);
      EQUAL(got.size(), 1u);
      EQUAL(s.asked("broken.test"), 2 * i);  // half an answer is not kept
    }
    // With the families apart the silence costs the delay.
    auto live = co_await h::start_server(echo, std::string("127.0.0.1"), 0);
    h::connection_options how;
    how.resolution_delay = 10ms;
    auto connecting = h::open_connection("silent.test", live.port(), how);
    auto c = co_await connecting;
    EQUAL(c.writer.peer_address().host(), "127.0.0.1");
    c.writer.close();
  });
}

}  // namespace
