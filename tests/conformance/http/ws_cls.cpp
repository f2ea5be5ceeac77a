// SPDX-License-Identifier: MIT
// How WebSockets close, and what their messages may cost.
#include "ws_cases.h"

namespace {

using namespace conformance;

CASES(HTTP_WS_CLS);
CASES(HTTP_WS_LIM);

template <class E>
bool is_a(const std::exception_ptr& e) {
  if (!e) return false;
  try {
    std::rethrow_exception(e);
  } catch (const E&) { return true; } catch (...) {
    return false;
  }
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_02_ThePeersCloseEndsTheLoopAndIsEchoed) {
  run([]() -> h::task<> {
    const std::string bytes =
        from_client(fin | text_op, "last") + from_client(fin | close_op, close_body(1001, "away"));
    h::task<outcome> telling = tell(bytes, 1);
    const outcome o = co_await telling;
    EQUAL(o, (outcome{"t:last", "close(1001)", 1001}));
    auto p = connect_pair();
    h::task<> closing = p.client.close(4321,
                                       "b\xc3\xa4"
                                       "h");
    auto end = h::create_task(std::move(closing));
    h::task<std::string> next = next_text(p.server);
    const std::string got = co_await next;
    co_await end;
    EQUAL(got, "(end)");
    EQUAL(p.server.close_code(), 4321);
    EQUAL(p.server.close_reason(),
          "b\xc3\xa4"
          "h");
    EQUAL(p.client.close_code(), 4321);
    HOLDS(!p.server.failure() && !p.client.failure());
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_04_CodesThatAreAllowedAreEchoed) {
  run([]() -> h::task<> {
    const int codes[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                         1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    for (const int code : codes) {
      h::task<outcome> telling = tell(from_client(fin | close_op, close_body(code)));
      const outcome o = co_await telling;
      EQUAL(o, (outcome{"", "close(" + std::to_string(code) + ")", code}));
    }
    h::task<outcome> telling = tell(from_client(fin | close_op, ""));
    const outcome none = co_await telling;
    EQUAL(none, (outcome{"", "close()", 1005}));
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_05_CodesThatAreNotAllowedAreRefused) {
  run([]() -> h::task<> {
    const int codes[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    for (const int code : codes) {
      h::task<outcome> telling = tell(from_client(fin | close_op, close_body(code)));
      const outcome o = co_await telling;
      EQUAL(o, (outcome{"", "close(1002)", 1002}));
    }
    h::task<outcome> half = tell(from_client(fin | close_op, "\x03"));
    const outcome cut = co_await half;
    EQUAL(cut, (outcome{"", "close(1002)", 1002}));
    h::task<outcome> bad = tell(from_client(fin | close_op, close_body(1000, "\xff")));
    const outcome text = co_await bad;
    EQUAL(text, (outcome{"", "close(1007)", 1007}));
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_07_WhatFollowsACloseIsIgnored) {
  run([]() -> h::task<> {
    const std::string bye = from_client(fin | close_op, close_body(1000));
    const std::string more[] = {bye, from_client(fin | ping_op, "late"),
                                from_client(fin | text_op, "late"), from_client(fin, "late"),
                                from_client(fin | 5, "late")};
    for (const auto& one : more) {
      h::task<outcome> telling = tell(bye + one, 1);
      const outcome o = co_await telling;
      EQUAL(o, (outcome{"", "close(1000)", 1000}));
    }
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_08_ABadCloseIsRefusedBeforeItIsSent) {
  run([]() -> h::task<> {
    auto p = connect_pair();
    const int codes[] = {-1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 66536};
    for (const int code : codes) THROWS(h::bad_value, p.client.close(code));
    THROWS(h::bad_value, p.client.close(1000, std::string(124, 'x')));
    THROWS(h::bad_value, p.client.close(1000, "\xff"));
    h::task<> sent = send_text(p.client, "still open");
    co_await sent;
    h::task<std::string> next = next_text(p.server);
    const std::string got = co_await next;
    EQUAL(got, "still open");
    const std::string reason(123, 'r');
    h::task<> closing = p.client.close(1000, reason);
    co_await closing;
    EQUAL(p.server.close_reason(), reason);
  });
}

h::task<> close_to_nobody() {
  auto [mine, theirs] = h::memory_pair();
  http::ws_options o = plain_options();
  http::websocket ws(std::move(theirs), http::ws_side::server, o);
  const auto begun = h::clock::now();
  h::task<> closing = close_ws(ws);
  co_await closing;
  const auto taken = h::clock::now() - begun;
  HOLDS(taken >= 10s && taken < 11s);
  EQUAL(ws.close_code(), 1006);
  h::task<std::string> rest = read_frames(mine);
  const std::string wire = co_await rest;
  EQUAL(wire, "close(1000)");
  mine.writer.close();
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_09_APeerThatNeverAnswersIsDropped) {
  h::testing::simulate(GetParam(), with(), [] { return close_to_nobody(); });
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    auto closing = h::create_task(close_ws(ws));
    std::string bytes;
    h::task<std::optional<seen_frame>> next = read_frame(mine, bytes);
    const std::optional<seen_frame> f = co_await next;
    HOLDS(f && describe(*f) == "close(1000)");
    closing.cancel();
    const std::string how = co_await ending(closing);
    EQUAL(how, "Cancelled");
    const std::string rest = co_await read_frames(mine);  // it ends: the connection was dropped
    EQUAL(rest, "");
    mine.writer.close();
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_10_AnEndWithoutACloseIsCode1006) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    mine.writer.write(from_client(fin | text_op, "whole") + from_client(text_op, "half"));
    mine.writer.close();
    h::task<std::string> receiving = receive_all(ws);
    const std::string all = co_await receiving;
    EQUAL(all, "t:whole");
    h::task<> closing = close_ws(ws);
    co_await closing;
    EQUAL(ws.close_code(), 1006);
    HOLDS(is_a<http::connection_lost>(ws.failure()));
    THROWS(http::connection_lost, ws.send_text("late"));
    HOLDS(ws.try_send({http::ws_kind::text, "late"}) == http::ws_sent::closed);
    const std::string how = co_await ending(ws.ping());
    HOLDS(how != "value");
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_11_OneCloseFrameForManyWhoClose) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    auto receiving = h::create_task(receive_all(ws));
    auto first = h::create_task(close_ws(ws));
    auto second = h::create_task(close_ws(ws));
    std::string bytes;
    h::task<std::optional<seen_frame>> next = read_frame(mine, bytes);
    const std::optional<seen_frame> f = co_await next;
    HOLDS(f && describe(*f) == "close(1000)");
    mine.writer.write(from_client(fin | text_op, "on its way") +
                      from_client(fin | close_op, close_body(1000)));
    h::task<std::string> rest = read_frames(mine);
    const std::string wire = co_await rest;
    EQUAL(wire, "");
    mine.writer.close();
    const std::string all = co_await receiving;
    EQUAL(all, "t:on its way");
    co_await first;
    co_await second;
    EQUAL(ws.close_code(), 1000);
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CLS_13_SendsAfterTheCloseThrowAndNeverHang) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    const auto pinging = h::create_task(ws.ping());
    co_await until_waiting(pinging);
    auto closing = h::create_task(close_ws(ws));
    std::string bytes;
    std::string seen;
    while (seen.find("close") == std::string::npos) {
      h::task<std::optional<seen_frame>> next = read_frame(mine, bytes);
      const std::optional<seen_frame> f = co_await next;
      seen += f ? describe(*f) : "close, by the end";
    }
    THROWS(http::connection_lost, ws.send_text("late"));
    THROWS(http::connection_lost, ws.send(http::prepared({http::ws_kind::text, "late"})));
    HOLDS(ws.try_send({http::ws_kind::text, "late"}) == http::ws_sent::closed);
    mine.writer.write(from_client(fin | close_op, close_body(4000, "why")));
    mine.writer.close();
    co_await closing;
    EQUAL(ws.close_code(), 4000);
    std::string text;
    try {
      (void)ws.send_text("late");
    } catch (const http::connection_lost& e) { text = e.what(); }
    HOLDS(text.find("4000") != std::string::npos && text.find("why") != std::string::npos);
    std::string how;
    try {
      (void)co_await pinging;
    } catch (const http::connection_lost&) { how = "lost"; }
    EQUAL(how, "lost");
  });
}

TEST_P(HTTP_WS_LIM, HTTP_WS_LIM_01_TheLimitHoldsAtTheHeadOfAFrame) {
  run([]() -> h::task<> {
    constexpr std::size_t limit = std::size_t{4} << 20;
    const std::string bye = from_client(fin | close_op, close_body(1000));
    const std::string whole(limit, 'x');
    h::task<outcome> exact = tell(from_client(fin | binary_op, whole) + bye);
    const outcome fits = co_await exact;
    EQUAL(fits, (outcome{"b:4194304 bytes", "close(1000)", 1000}));
    // Its payload never comes.
    const std::string head = from_client(fin | binary_op, whole + "x").substr(0, 14);
    h::task<outcome> over = tell(head);
    const outcome refused = co_await over;
    EQUAL(refused, (outcome{"", "close(1009)", 1009}));
    const std::string half(limit / 2, 'x');
    const std::string parts = from_client(binary_op, half) + from_client(0, half);
    h::task<outcome> sum = tell(parts + from_client(fin, "x").substr(0, 6));
    const outcome third = co_await sum;
    EQUAL(third, (outcome{"", "close(1009)", 1009}));
    h::task<outcome> joined = tell(parts + from_client(fin, "") + bye);
    const outcome fine = co_await joined;
    EQUAL(fine, (outcome{"b:4194304 bytes", "close(1000)", 1000}));
    const std::string huge = std::string("\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00", 10) + "keys";
    h::task<outcome> most =
        tell(from_client(binary_op, "x") + std::string("\x00", 1) + huge.substr(1));
    const outcome no = co_await most;
    EQUAL(no, (outcome{"", "close(1009)", 1009}));
  });
}

TEST_P(HTTP_WS_LIM, HTTP_WS_LIM_02_WithoutALimitAFrameMayBeLong) {
  run([]() -> h::task<> {
    const std::size_t n = sized(1 << 20, 16 << 20);
    http::ws_options o = plain_options();
    o.max_message = ~std::size_t{0};
    const std::string bytes = from_client(fin | text_op, std::string(n, 'x')) +
                              from_client(fin | close_op, close_body(1000));
    h::task<outcome> telling = tell(bytes, 64, http::ws_side::server, o);
    const outcome got = co_await telling;
    EQUAL(got, (outcome{"t:" + std::to_string(n) + " bytes", "close(1000)", 1000}));
    auto p = connect_pair(o, o);
    auto echoing = h::create_task(echo_ws(p.server));
    std::string body(n, 'y');
    auto sending = h::create_task(send_text(p.client, body));
    h::task<std::string> next = next_text(p.client);
    const std::string back = co_await next;
    HOLDS(back == body);
    co_await sending;
    h::task<> closing = close_ws(p.client);
    co_await closing;
    co_await echoing;
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CTL_05_PingsAndClosesAreAnsweredWhileNobodyReceives) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    mine.writer.write(from_client(fin | text_op, "unread") + from_client(fin | ping_op, "1") +
                      from_client(fin | close_op, close_body(1000)));
    h::task<std::string> rest = read_frames(mine);
    const std::string wire = co_await rest;
    EQUAL(wire, "pong(1) close(1000)");
    mine.writer.close();
    h::task<std::string> receiving = receive_all(ws);
    const std::string all = co_await receiving;
    EQUAL(all, "t:unread");
  });
}

TEST_P(HTTP_WS_CLS, HTTP_WS_CTL_05_UnreadMessagesHoldThePeerUp) {
  run([]() -> h::task<> {
    auto p = connect_pair();
    const http::ws_message m{http::ws_kind::binary, std::string(1000, 'x')};
    std::size_t sent = 0;
    // What the two buffers and the memory between them hold, and not a message more.
    for (int idle = 0; idle < 20;) {
      const auto how = p.client.try_send(m);
      if (how != http::ws_sent::full) {
        ++sent;
        idle = 0;
      } else {
        ++idle;
        co_await h::sleep(1ms);
      }
    }
    HOLDS(sent < 400);
    for (std::size_t i = 0; i < sent; ++i) {
      h::task<std::string> next = next_text(p.server);
      const std::string one = co_await next;
      EQUAL(one.size(), m.data.size());
    }
    h::task<> closing = close_ws(p.client);
    co_await closing;
    EQUAL(p.server.close_code(), 1000);
  });
}

}  // namespace
