// SPDX-License-Identifier: MIT
// Publishing to many, coming back, and what idle connections cost.
#include "../io/reactor_cases.h"
#include "ws_cases.h"

#include <heddle/io/http/reconnecting_websocket.h>
#include <heddle/io/http/server.h>
#include <heddle/io/http/topic.h>

#include <malloc.h>

namespace {

using namespace conformance;

REACTOR_CASES(HTTP_WS_TOPIC);
CASES(HTTP_WS_IDLE);

h::task<> publish(http::topic& t, std::string text) {
  h::task<http::published> work = t.publish({http::ws_kind::text, std::move(text)});
  (void)co_await work;
}

/// A receiver that never reads, and whose line is full.
struct stuck {
  stuck() {
    http::ws_options o = plain_options();
    o.send_buffer = 2000;
    auto both = h::memory_pair(1000);
    peer = std::move(both.first);
    ws = http::websocket(std::move(both.second), http::ws_side::server, o);
  }
  h::connection peer;
  http::websocket ws;
};

/// The frames that a stuck receiver gets in the end, and how it ends.
h::task<std::string> read_late(stuck& s) {
  s.peer.writer.write(from_client(fin | close_op, close_body(1000)));
  h::task<std::string> reading = read_frames(s.peer);
  std::string seen = co_await reading;
  s.peer.writer.close();
  co_return seen;
}

std::string numbered(int i) { return std::to_string(i) + std::string(996, 'x'); }

/// How many of `n` messages of a kilobyte a stuck receiver was given.
h::task<std::size_t> flood(http::topic& t, int n) {
  std::size_t reached = 0;
  for (int i = 1000; i < 1000 + n; ++i) {
    h::task<http::published> work = t.publish({http::ws_kind::text, numbered(i)});
    const http::published sum = co_await work;
    EQUAL(sum.reached + sum.skipped, 2u);  // the quick one, and the stuck one
    reached += sum.reached - 1;
  }
  co_return reached;
}

h::task<> try_policy(http::slow_receiver slow) {
  http::topic_options o;
  o.slow = slow;
  o.line = 5;
  o.compress = false;
  http::topic t(o);
  auto quick = connect_pair();
  stuck s;
  auto first = t.subscribe(quick.server);
  auto second = t.subscribe(s.ws);
  auto receiving = h::create_task(receive_all(quick.client));
  if (slow == http::slow_receiver::close) {
    for (int i = 0; t.subscribers() == 2; ++i) {
      h::task<> work = publish(t, numbered(1000 + i));
      co_await work;
    }
    EQUAL(t.subscribers(), 1u);
  } else {
    h::task<std::size_t> flooding = flood(t, 40);
    const std::size_t reached = co_await flooding;
    HOLDS(reached >= 1 && reached <= 12);
  }
  h::task<std::string> late = read_late(s);
  const std::string seen = co_await late;
  HOLDS(seen.find("text(") != std::string::npos);
  if (slow == http::slow_receiver::close) HOLDS(seen.ends_with("close(1013)"));
  h::task<> closing = close_ws(quick.server);
  co_await closing;
  const std::string all = co_await receiving;
  HOLDS(all.starts_with("t:1000 bytes"));
}

TEST_P(HTTP_WS_TOPIC, HTTP_WS_CON_06_ASlowReceiverHoldsNobodyUp) {
  cases::run([]() -> h::task<> {
    h::task<> skipping = try_policy(http::slow_receiver::skip);
    co_await skipping;
    h::task<> lining_up = try_policy(http::slow_receiver::drop_oldest);
    co_await lining_up;
    h::task<> closing = try_policy(http::slow_receiver::close);
    co_await closing;
  });
}

TEST_P(HTTP_WS_TOPIC, HTTP_WS_CON_06_ALineKeepsTheNewestMessages) {
  cases::run([]() -> h::task<> {
    http::topic_options o;
    o.slow = http::slow_receiver::drop_oldest;
    o.line = 5;
    o.compress = false;
    http::topic t(o);
    stuck s;
    const auto mine = t.subscribe(s.ws);
    for (int i = 1000; i < 1040; ++i) {
      h::task<> work = publish(t, numbered(i));
      co_await work;
    }
    std::string bytes;
    std::vector<int> got;
    while (got.empty() || got.back() != 1039) {
      h::task<std::optional<seen_frame>> next = read_frame(s.peer, bytes);
      const std::optional<seen_frame> f = co_await next;
      if (!f) break;
      got.push_back(std::atoi(f->body.substr(0, 4).c_str()));
    }
    HOLDS(got.size() >= 6 && got.size() < 20);
    HOLDS(std::is_sorted(got.begin(), got.end()));
    if (got.size() >= 5) EQUAL(got[got.size() - 5], 1035);
    s.peer.writer.close();
  });
}

TEST_P(HTTP_WS_TOPIC, HTTP_WS_CON_06_ManySubscribersOnAllLoops) {
  cases::run([]() -> h::task<> {
    http::topic t;
    std::vector<ws_pair> pairs;
    std::vector<http::subscription> all;
    std::vector<h::task_handle<std::string>> receiving;
    const std::size_t n = sized(100, 10'000);
    pairs.reserve(n);
    for (std::size_t i = 0; i < n; ++i) {
      pairs.push_back(connect_pair());
      all.push_back(t.subscribe(pairs.back().server));
      receiving.push_back(h::create_task(receive_all(pairs.back().client)));
    }
    EQUAL(t.subscribers(), n);
    for (int i = 0; i < 3; ++i) {
      h::task<> work = publish(t, "news" + std::to_string(i));
      co_await work;
    }
    for (std::size_t i = 0; i < n; i += 2) all[i].cancel();
    h::task<> work = publish(t, "more");
    co_await work;
    for (auto& p : pairs) {
      h::task<> closing = close_ws(p.server);
      co_await closing;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const std::string got = co_await receiving[i];
      EQUAL(got, i % 2 == 0 ? "t:news0 t:news1 t:news2" : "t:news0 t:news1 t:news2 t:more");
    }
    h::task<> last = publish(t, "to nobody");
    co_await last;
    EQUAL(t.subscribers(), 0u);
  });
}

/// A server that refuses some tries, seen by a client that comes back.
h::task<> come_back() {
  int tries = 0;
  std::vector<h::connection> peers;
  auto connect = [&]() -> h::task<http::websocket> {
    ++tries;
    if (tries == 2 || tries == 3 || tries == 4)
      throw http::handshake_error("busy", 503, http::headers(), "");
    if (tries == 6) throw http::handshake_error("who are you?", 401, http::headers(), "");
    auto both = h::memory_pair();
    both.first.writer.write(from_server(fin | text_op, "try " + std::to_string(tries)) +
                            from_server(fin | close_op, close_body(1012)));
    peers.push_back(std::move(both.first));
    co_return http::websocket(std::move(both.second), http::ws_side::client, plain_options());
  };
  http::reconnecting_websocket feed(connect, {});
  std::string seen;
  const auto begun = h::clock::now();
  std::vector<h::duration> at;
  for (int i = 0; i < 2; ++i) {
    h::task<http::websocket> next = feed.next();
    http::websocket ws = co_await next;
    at.push_back(h::clock::now() - begun);
    EQUAL(feed.connections(), static_cast<std::uint64_t>(i + 1));
    h::task<std::string> text = next_text(ws);
    seen += co_await text + ";";
    peers.back().writer.close();
    h::task<std::string> rest = receive_all(ws);
    (void)co_await rest;
  }
  EQUAL(seen, "try 1;try 5;");
  HOLDS(at[0] < 1s);
  // 1, 2, 4 and 8 seconds, of which a half is chance.
  HOLDS(at[1] >= 7500ms && at[1] <= 16s);
  int status = 0;
  try {
    h::task<http::websocket> next = feed.next();
    (void)co_await next;
  } catch (const http::handshake_error& e) { status = e.status(); }
  EQUAL(status, 401);
  EQUAL(tries, 6);
}

TEST_P(HTTP_WS_TOPIC, HTTP_WS_CON_07_AClientComesBackWithGrowingWaitsAndGivesUpAt4xx) {
  h::testing::simulate(GetParam(), with(), [] { return come_back(); });
}

TEST_P(HTTP_WS_TOPIC, HTTP_WS_CON_07_AClientMeetsTheServerThatWasRestarted) {
  run([]() -> h::task<> {
    http::server first;
    auto hello = [](http::websocket& ws, http::request&) -> h::task<> {
      h::task<> sent = ws.send_text("hello");
      co_await sent;
      h::task<std::string> rest = receive_all(ws);
      (void)co_await rest;
    };
    first.websocket("/", hello);
    co_await first.start("127.0.0.1", 0);
    const auto port = first.port();
    http::reconnect_options quick;
    quick.first_wait = 1ms;
    quick.most_wait = 5ms;
    http::reconnecting_websocket feed("ws://127.0.0.1:" + std::to_string(port), {}, quick);
    h::task<http::websocket> next = feed.next();
    http::websocket ws = co_await next;
    h::task<std::string> text = next_text(ws);
    const std::string greeting = co_await text;
    EQUAL(greeting, "hello");
    auto ending = h::create_task(receive_all(ws));
    co_await first.stop();
    (void)co_await ending;
    EQUAL(ws.close_code(), 1001);
    http::server second;
    second.websocket("/", hello);
    co_await second.start("127.0.0.1", port);
    h::task<http::websocket> again = feed.next();
    http::websocket other = co_await again;
    h::task<std::string> more = next_text(other);
    const std::string again_greeted = co_await more;
    EQUAL(again_greeted, "hello");
    EQUAL(feed.connections(), 2u);
    h::task<> closing = close_ws(other);
    co_await closing;
    co_await second.stop();
  });
}

/// Of the arena of the first thread: with one loop all of it.
std::ptrdiff_t heap_in_use() {
  const auto m = ::mallinfo2();
  return static_cast<std::ptrdiff_t>(m.uordblks + m.hblkhd);
}

h::task<> measure_idle() {
  const auto n = static_cast<std::ptrdiff_t>(sized(200, 10'000));
  const std::string text(2000, 'z');
  for (const bool takeover : {true, false}) {
    http::ws_options o;
    o.deflate->takeover = takeover;
    const std::ptrdiff_t before = heap_in_use();
    std::vector<ws_pair> pairs;
    for (std::ptrdiff_t i = 0; i < n; ++i) pairs.push_back(connect_pair(o, o));
    const std::ptrdiff_t open = heap_in_use();
    for (auto& p : pairs) {
      h::task<> there = send_text(p.client, text);
      co_await there;
      h::task<std::string> one = next_text(p.server);
      (void)co_await one;
      h::task<> back = send_text(p.server, text);
      co_await back;
      h::task<std::string> other = next_text(p.client);
      (void)co_await other;
    }
    const std::ptrdiff_t used = heap_in_use();
    // Two ends each. The memory between them is not the WebSockets'.
    const std::ptrdiff_t between = 2 * std::ptrdiff_t{h::default_memory_buffer};
    const std::ptrdiff_t idle = (open - before) / n - between;
    const std::ptrdiff_t compressed = (used - open) / n / 2;
    // The heap of a sanitizer is another one.
    HOLDS(sanitized || idle / 2 < 4096);
    HOLDS(sanitized || (takeover ? compressed < 64 * 1024 : compressed < 2048));
    for (auto& p : pairs) {
      h::task<> closing = close_ws(p.client);
      co_await closing;
    }
  }
}

TEST_P(HTTP_WS_IDLE, HTTP_WS_PMD_09_IdleConnectionsCostLittle) {
  h::options o = with();
  o.loops = 1;
  h::run(measure_idle(), o);
}

}  // namespace
