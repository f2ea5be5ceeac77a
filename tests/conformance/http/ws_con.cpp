// SPDX-License-Identifier: MIT
// Heartbeats, and many tasks at one WebSocket.
#include "ws_cases.h"

#include <algorithm>
#include <mutex>

namespace {

using namespace conformance;

CASES(HTTP_WS_HBT);
CASES(HTTP_WS_CON);

bool is_timeout(const std::exception_ptr& e) { return name_of(e) == "Timeout"; }

h::task<> silent_peer() {
  auto [mine, theirs] = h::memory_pair();
  http::ws_options o = plain_options();
  o.heartbeat = 1s;
  http::websocket ws(std::move(theirs), http::ws_side::server, o);
  const auto begun = h::clock::now();
  auto receiving = h::create_task(receive_all(ws));
  h::task<std::string> reading = read_frames(mine);
  const std::string wire = co_await reading;
  HOLDS(wire.starts_with("ping("));
  co_await receiving;
  const auto taken = h::clock::now() - begun;
  HOLDS(taken >= 1500ms && taken < 1600ms);
  EQUAL(ws.close_code(), 1006);
  HOLDS(is_timeout(ws.failure()));
  mine.writer.close();
}

TEST_P(HTTP_WS_HBT, HTTP_WS_HBT_01_ASilentPeerIsPingedAndGivenUp) {
  h::testing::simulate(GetParam(), with(), [] { return silent_peer(); });
}

/// An hour of two ends that say nothing, and of one that only sends.
h::task<> quiet_hour() {
  http::ws_options o = plain_options();
  o.heartbeat = 60s;
  auto p = connect_pair(o, o);
  co_await h::sleep(1h);
  HOLDS(p.client.is_open() && p.server.is_open());
  for (int i = 0; i < 20; ++i) {
    h::task<> sent = p.client.send_text("only sends");
    co_await sent;
    co_await h::sleep(50s);
  }
  HOLDS(p.client.is_open() && p.server.is_open());
  h::task<> closing = close_ws(p.client);
  co_await closing;
  EQUAL(p.client.close_code(), 1000);
}

TEST_P(HTTP_WS_HBT, HTTP_WS_HBT_03_TheHeartbeatWorksWhileNobodyReceives) {
  h::testing::simulate(GetParam(), with(), [] { return quiet_hour(); });
}

h::task<> idle_and_old() {
  http::ws_options idle = plain_options();
  idle.heartbeat.reset();
  idle.idle = 10s;
  {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, idle);
    const auto begun = h::clock::now();
    auto closing = h::create_task(receive_all(ws));
    h::task<std::string> reading = read_frames(mine);
    const std::string wire = co_await reading;
    HOLDS(wire.starts_with("ping(") && wire.ends_with("close(1001)"));
    const auto taken = h::clock::now() - begun;
    HOLDS(taken >= 10s && taken < 21s);
    mine.writer.close();
    co_await closing;
  }
  {
    auto p = connect_pair(plain_options(), idle);  // the other end answers pings
    co_await h::sleep(60s);
    HOLDS(p.server.is_open());
    h::task<> closing = close_ws(p.client);
    co_await closing;
  }
  http::ws_options old = plain_options();
  old.max_lifetime = 100s;
  auto p = connect_pair(plain_options(), old);
  const auto begun = h::clock::now();
  h::task<std::string> next = next_text(p.client);
  const std::string got = co_await next;
  EQUAL(got, "(end)");
  const auto taken = h::clock::now() - begun;
  HOLDS(taken >= 100s && taken < 101s);
  EQUAL(p.client.close_code(), 1001);
}

TEST_P(HTTP_WS_HBT, HTTP_WS_HBT_04_IdleAndOldConnectionsAreClosed) {
  h::testing::simulate(GetParam(), with(), [] { return idle_and_old(); });
}

TEST_P(HTTP_WS_HBT, HTTP_WS_CTL_04_APingYieldsTheTimeToItsPong) {
  run([]() -> h::task<> {
    auto p = connect_pair();
    h::task<h::duration> pinging = p.client.ping();
    const h::duration taken = co_await pinging;
    HOLDS(taken >= h::duration::zero());
    h::task<> closing = close_ws(p.client);
    co_await closing;

    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    std::vector<h::task_handle<h::duration>> pings;
    std::string bytes;
    std::string last;
    for (int i = 0; i < 3; ++i) {
      pings.push_back(h::create_task(ws.ping()));
      h::task<std::optional<seen_frame>> next = read_frame(mine, bytes);
      const std::optional<seen_frame> f = co_await next;
      HOLDS(f && f->first == (fin | ping_op));
      if (f) last = f->body;
    }
    mine.writer.write(from_client(fin | pong_op, "not asked") + from_client(fin | pong_op, last));
    for (const auto& one : pings) {
      const h::duration each = co_await one;
      HOLDS(each >= h::duration::zero());
    }
    mine.writer.close();
  });
}

h::task<> send_many(http::websocket& ws, int who) {
  for (int i = 0; i < 20; ++i) {
    std::string text = std::to_string(who) + " " + std::to_string(i) + " ";
    text.append(who % 10 == 0 ? 100'000 : who % 3 * 200, 'x');
    h::task<> sent = ws.send_text(text);
    co_await sent;
  }
}

h::task<> hundred_senders(http::ws_options o) {
  auto p = connect_pair(o, o);
  std::vector<h::task_handle<void>> senders;
  for (int who = 0; who < 100; ++who) senders.push_back(h::create_task(send_many(p.client, who)));
  std::vector<int> next(100, 0);
  bool whole = true;
  for (int i = 0; i < 100 * 20; ++i) {
    h::task<std::string> receiving = next_text(p.server);
    const std::string text = co_await receiving;
    const int who = std::atoi(text.c_str());
    const auto blank = text.find(' ');
    const int number = std::atoi(text.c_str() + blank + 1);
    whole = whole && who >= 0 && who < 100 && number == next[static_cast<std::size_t>(who)]++;
    const auto body = text.substr(text.find(' ', blank + 1) + 1);
    whole = whole && body.find_first_not_of('x') == std::string::npos;
    whole =
        whole && body.size() == (who % 10 == 0 ? 100'000U : static_cast<unsigned>(who % 3) * 200);
  }
  HOLDS(whole);
  for (const auto& s : senders) co_await s;
  h::task<> closing = close_ws(p.client);
  co_await closing;
  EQUAL(p.server.close_code(), 1000);
}

TEST_P(HTTP_WS_CON, HTTP_WS_CON_01_MessagesOfManyTasksArriveWholeAndInOrder) {
  run([]() -> h::task<> {
    h::task<> plain = hundred_senders(plain_options());
    co_await plain;
    h::task<> compressed = hundred_senders(http::ws_options());
    co_await compressed;
  });
}

TEST_P(HTTP_WS_CON, HTTP_WS_CON_02_ASecondReceiverIsRefused) {
  run([]() -> h::task<> {
    auto p = connect_pair();
    auto first = h::create_task(next_text(p.server));
    co_await until_waiting(first);
    const std::string how = co_await ending(p.server.receive());
    EQUAL(how, "Usage");
    const std::string streamed = co_await ending(p.server.receive_streaming());
    EQUAL(streamed, "Usage");
    h::task<> sent = send_text(p.client, "for the first");
    co_await sent;
    const std::string got = co_await first;
    EQUAL(got, "for the first");
    h::task<> closing = close_ws(p.client);
    co_await closing;
  });
}

TEST_P(HTTP_WS_CON, HTTP_WS_CON_03_ACancelledReceiveLosesNothing) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    std::string expected;
    for (int i = 0; i < 50; ++i) {
      const std::string text = "message " + std::to_string(i);
      auto receiving = h::create_task(next_text(ws));
      mine.writer.write(from_client(text_op, text.substr(0, 3)));
      if (i % 2 == 0) co_await h::yield_now();
      receiving.cancel();
      const std::string how = co_await ending(receiving);
      EQUAL(how, "Cancelled");
      mine.writer.write(from_client(fin, text.substr(3)));
      auto limited = h::wait_for(next_text(ws), 10s);
      const std::string got = co_await std::move(limited);
      EQUAL(got, text);
    }
    HOLDS(ws.is_open());
    mine.writer.close();
  });
}

h::async_generator<std::string> pieces_of(int n) {
  for (int i = 0; i < n; ++i) {
    co_await h::yield_now();
    co_yield "piece " + std::to_string(i) + ";";
  }
}

h::task<> send_pieces(http::websocket& ws, h::event& go) {
  h::task<> streaming = ws.send_stream(http::ws_kind::text, pieces_of(30));
  go.set();
  co_await streaming;
}

TEST_P(HTTP_WS_CON, HTTP_WS_FRM_11_AMessagePieceByPieceIsOneMessage) {
  run([]() -> h::task<> {
    auto p = connect_pair();
    h::event go;
    auto streaming = h::create_task(send_pieces(p.client, go));
    co_await go.wait();
    auto other = h::create_task(send_text(p.client, "other"));
    std::string all;
    for (int messages = 0; messages < 2; ++messages) {
      h::task<std::optional<http::ws_incoming>> next = p.server.receive_streaming();
      std::optional<http::ws_incoming> m = co_await next;
      HOLDS(m.has_value());
      std::string text;
      for (;;) {
        h::task<std::optional<std::string>> more = m->next_chunk();
        const std::optional<std::string> chunk = co_await more;
        if (!chunk) break;
        text += *chunk;
        h::task<h::duration> pinging = p.server.ping();  // passes between the fragments
        const h::duration taken = co_await pinging;
        HOLDS(taken >= h::duration::zero());
      }
      all += text == "other" ? "o" : std::count(text.begin(), text.end(), ';') == 30 ? "p" : "?";
    }
    std::sort(all.begin(), all.end());
    EQUAL(all, "op");
    co_await streaming;
    co_await other;
    h::task<> closing = close_ws(p.client);
    co_await closing;
  });
}

TEST_P(HTTP_WS_CON, HTTP_WS_FRM_11_AMessageThatIsGivenUpClosesTheConnection) {
  run([]() -> h::task<> {
    auto p = connect_pair();
    auto failing = []() -> h::async_generator<std::string> {
      co_yield "begun";
      throw error_e();
    };
    const std::string how = co_await ending(p.client.send_stream(http::ws_kind::text, failing()));
    EQUAL(how, "E");
    h::task<std::string> next = next_text(p.server);
    const std::string got = co_await next;
    EQUAL(got, "(end)");
    EQUAL(p.server.close_code(), 1011);
  });
}

TEST_P(HTTP_WS_CON, HTTP_WS_FRM_11_ADroppedStreamSkipsTheRestOfItsMessage) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    mine.writer.write(from_client(text_op, "begun"));
    {
      h::task<std::optional<http::ws_incoming>> next = ws.receive_streaming();
      const std::optional<http::ws_incoming> m = co_await next;
      HOLDS(m && m->kind() == http::ws_kind::text);
    }
    mine.writer.write(from_client(0, "more") + from_client(fin, "end") +
                      from_client(fin | text_op, "next"));
    h::task<std::string> next = next_text(ws);
    const std::string got = co_await next;
    EQUAL(got, "next");
    mine.writer.close();
  });
}

}  // namespace
