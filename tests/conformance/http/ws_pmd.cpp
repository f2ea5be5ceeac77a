// SPDX-License-Identifier: MIT
// permessage-deflate: what is agreed on, and what is inflated.
#include "ws_cases.h"

#include <heddle/io/http/websocket/negotiation.h>

namespace {

using namespace conformance;
using http::detail::accept_deflate;
using http::detail::choose_deflate;
using http::detail::deflate_terms;
using http::detail::deflater;
using http::detail::inflated;
using http::detail::inflater;

CASES(HTTP_WS_PMD);

constexpr std::size_t no_bound = ~std::size_t{0};

std::string deflated(deflater& d, std::string_view text) {
  std::string small;
  d.add(text, true, small);
  return small;
}

/// The whole message, or "(broken)".
std::string inflate_all(inflater& i, std::string_view small) {
  std::string text;
  inflated how = inflated::some;
  while (!small.empty() || how == inflated::some) {
    how = i.next(small, text, no_bound);
    if (how == inflated::broken) return "(broken)";
  }
  do how = i.end(text, no_bound);
  while (how == inflated::some);
  return how == inflated::broken ? "(broken)" : text;
}

std::string answer_to(std::string_view offers) {
  http::ws_deflate wish;
  const auto choice = choose_deflate(offers, wish);
  return choice ? choice->answer : "-";
}

TEST_P(HTTP_WS_PMD, HTTP_WS_PMD_03_TheFirstOfferWithoutFaultIsTaken) {
  run([]() -> h::task<> {
    const std::string usual = "permessage-deflate; server_max_window_bits=12; ";
    const std::string bits = usual + "client_max_window_bits=12";
    EQUAL(answer_to("permessage-deflate; client_max_window_bits"), bits);
    EQUAL(answer_to("permessage-deflate;client_max_window_bits=\"12\""), bits);
    EQUAL(answer_to("permessage-deflate"),
          "permessage-deflate; client_no_context_takeover; "
          "server_max_window_bits=12");
    EQUAL(answer_to("x-other, permessage-deflate; client_max_window_bits=9"),
          usual + "client_max_window_bits=9");
    EQUAL(answer_to("permessage-deflate; server_max_window_bits=10; client_max_window_bits"),
          "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12");
    EQUAL(answer_to("permessage-deflate; server_no_context_takeover; client_max_window_bits"),
          "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; "
          "client_max_window_bits=12");
    const std::string bad[] = {
        "unknown",
        "unknown=1",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=8",
        "server_max_window_bits=16",
        "server_max_window_bits=015",
        "server_max_window_bits=",
        "server_max_window_bits=\"\"",
        "client_max_window_bits=7",
        "client_max_window_bits=1a",
        "client_max_window_bits=",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=10",
    };
    for (const auto& one : bad) {
      EQUAL(answer_to("permessage-deflate; " + one), "-");
      EQUAL(
          answer_to("permessage-deflate; " + one + ", permessage-deflate; client_max_window_bits"),
          bits);
    }
    co_return;
  });
}

TEST_P(HTTP_WS_PMD, HTTP_WS_PMD_03_AClientFailsOnABadAnswer) {
  run([]() -> h::task<> {
    http::ws_deflate wish;
    deflate_terms terms;
    HOLDS(accept_deflate("permessage-deflate; server_max_window_bits=12; "
                         "client_max_window_bits=10",
                         wish, terms) == nullptr);
    EQUAL(terms, (deflate_terms{10, 12, true, true}));
    wish.window = 15;
    HOLDS(accept_deflate("permessage-deflate; server_no_context_takeover", wish, terms) == nullptr);
    EQUAL(terms, (deflate_terms{15, 15, true, false}));
    const std::string bad[] = {"x-other",
                               "permessage-deflate, permessage-deflate",
                               "permessage-deflate; unknown",
                               "permessage-deflate; client_max_window_bits",
                               "permessage-deflate; client_max_window_bits=8",
                               "permessage-deflate; client_max_window_bits=16",
                               "permessage-deflate; server_max_window_bits=015"};
    for (const auto& one : bad) HOLDS(accept_deflate(one, wish, terms) != nullptr);
    wish.window = 12;
    HOLDS(accept_deflate("permessage-deflate", wish, terms) != nullptr);
    co_return;
  });
}

http::ws_options deflating(bool takeover = true) {
  http::ws_options o;
  o.deflate->takeover = takeover;
  return o;
}

/// Random letters: hard to compress, but for what repeats.
std::string noise(std::size_t n, unsigned seed) {
  std::string text(n, 'x');
  for (auto& c : text) {
    seed = seed * 1103515245U + 12345U;
    c = static_cast<char>('a' + (seed >> 16U) % 26);
  }
  return text;
}

TEST_P(HTTP_WS_PMD, HTTP_WS_PMD_05_CompressedMessagesInFragmentsBetweenPings) {
  run([]() -> h::task<> {
    deflater d(12, 5);
    const std::string first = deflated(d, "one and one and one and one");
    const std::string empty = deflated(d, "");
    const std::string third = deflated(d, "one and one and one and one");
    std::string bytes = from_client(fin | ping_op, "0");
    bytes += from_client(rsv1 | text_op, first.substr(0, 2)) + from_client(fin | ping_op, "1");
    bytes += from_client(0, first.substr(2, 3)) + from_client(0, "");
    bytes += from_client(fin, first.substr(5)) + from_client(fin | rsv1 | text_op, empty);
    bytes += from_client(fin | text_op, "plain") + from_client(fin | rsv1 | binary_op, third);
    // A stored block that says that it is the last one, and another one behind it.
    const std::string blocks(
        "\x01\x01\x00\xfe\xff"
        "A"
        "\x01\x01\x00\xfe\xff"
        "B\x00",
        13);
    bytes += from_client(fin | rsv1 | text_op, blocks);
    bytes += from_client(fin | close_op, close_body(1000));
    const std::size_t cuts[] = {1, 1 << 20};
    for (const std::size_t cut : cuts) {
      h::task<outcome> telling = tell(bytes, cut, http::ws_side::server, deflating());
      const outcome o = co_await telling;
      EQUAL(o, (outcome{"t:one and one and one and one t: t:plain b:one and one and one and one "
                        "t:AB",
                        "pong(0) pong(1) close(1000)", 1000}));
    }
    const std::string twice = from_client(rsv1 | text_op, first) + from_client(rsv1 | fin, "x");
    h::task<outcome> telling = tell(twice, 1 << 20, http::ws_side::server, deflating());
    const outcome o = co_await telling;
    EQUAL(o.code, 1002);
  });
}

TEST_P(HTTP_WS_PMD, HTTP_WS_PMD_06_WithTakeoverTheSecondMessageIsSmall) {
  run([]() -> h::task<> {
    const std::string text = noise(1000, 7);
    for (const bool takeover : {true, false}) {
      auto [mine, theirs] = h::memory_pair();
      http::websocket ws(std::move(theirs), http::ws_side::server, deflating(takeover));
      std::size_t sizes[2] = {};
      inflater with(12);
      std::string bytes;
      for (auto& size : sizes) {
        h::task<> sent = ws.send_text(text);
        co_await sent;
        h::task<std::optional<seen_frame>> next = read_frame(mine, bytes);
        const std::optional<seen_frame> f = co_await next;
        HOLDS(f && f->first == (fin | rsv1 | text_op));
        if (!f) co_return;
        size = f->body.size();
        EQUAL(inflate_all(with, f->body), text);
        inflater alone(12);
        if (!takeover) EQUAL(inflate_all(alone, f->body), text);
      }
      if (takeover)
        HOLDS(sizes[1] * 5 < sizes[0]);
      else
        EQUAL(sizes[0], sizes[1]);
      mine.writer.close();
    }
  });
}

TEST_P(HTTP_WS_PMD, HTTP_WS_PMD_07_ASmallMessageThatInflatesToALargeOneIsRefused) {
  run([]() -> h::task<> {
    deflater d(15, 8);
    const std::string bomb = deflated(d, std::string(std::size_t{32} << 20, '\0'));
    HOLDS(bomb.size() < 200'000);
    http::ws_options o = deflating();
    o.deflate->window = 15;
    o.max_message = std::size_t{1} << 20;
    h::task<outcome> large =
        tell(from_client(fin | rsv1 | binary_op, bomb), 1 << 20, http::ws_side::server, o);
    const outcome refused = co_await large;
    EQUAL(refused, (outcome{"", "close(1009)", 1009}));
    h::task<outcome> bad = tell(from_client(fin | rsv1 | binary_op, "\xff\xff\xff\xff\xff"),
                                1 << 20, http::ws_side::server, o);
    const outcome broken = co_await bad;
    EQUAL(broken, (outcome{"", "close(1007)", 1007}));
    std::string members;
    for (int i = 0; i < 1025; ++i) members += std::string("\x03\x00", 2);
    h::task<outcome> many =
        tell(from_client(fin | rsv1 | binary_op, members), 1 << 20, http::ws_side::server, o);
    const outcome empty = co_await many;
    EQUAL(empty, (outcome{"", "close(1007)", 1007}));
  });
}

/// The sizes of what two messages become on the wire.
h::task<> check_sent(http::websocket& ws, h::connection& mine, std::string text,
                     http::ws_compress how, bool compressed) {
  h::task<> sent = ws.send_text(text, how);
  co_await sent;
  std::string bytes;
  h::task<std::optional<seen_frame>> next = read_frame(mine, bytes);
  const std::optional<seen_frame> f = co_await next;
  HOLDS(f && ((f->first & rsv1) != 0) == compressed);
}

TEST_P(HTTP_WS_PMD, HTTP_WS_PMD_08_WhatIsCompressedIsChosenByTheSizeOrByWord) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, deflating());
    struct row {
      std::size_t size;
      http::ws_compress how;
      bool compressed;
    };
    const row rows[] = {{255, http::ws_compress::automatic, false},
                        {256, http::ws_compress::automatic, true},
                        {1, http::ws_compress::always, true},
                        {5000, http::ws_compress::never, false}};
    for (const auto& r : rows) {
      h::task<> checking = check_sent(ws, mine, std::string(r.size, 'x'), r.how, r.compressed);
      co_await checking;
    }
    mine.writer.close();
  });
}

TEST_P(HTTP_WS_PMD, HTTP_WS_PMD_08_ACancelledSendNeverSpoilsTheStream) {
  run([]() -> h::task<> {
    auto p = connect_pair(deflating(), deflating());
    const std::string large = noise(200'000, 3);
    const std::string other = noise(3000, 4);
    bool fine = true;
    for (int i = 0; i < 10; ++i) {
      auto cancelled = h::create_task(send_text(p.client, large));
      if (i % 2 == 0) co_await h::yield_now();
      cancelled.cancel();
      auto sending = h::create_task(send_text(p.client, other));
      // Of the cancelled message all has come, or nothing.
      h::task<std::string> next = next_text(p.server);
      std::string got = co_await next;
      if (got == large) {
        next = next_text(p.server);
        got = co_await next;
      }
      fine = fine && got == other;
      (void)co_await ending(cancelled);
      co_await sending;
    }
    HOLDS(fine);
    h::task<> closing = close_ws(p.client);
    co_await closing;
    EQUAL(p.server.close_code(), 1000);
  });
}

TEST_P(HTTP_WS_PMD, HTTP_WS_PMD_08_APreparedMessageStandsForItself) {
  run([]() -> h::task<> {
    auto p = connect_pair(deflating(), deflating());
    const std::string text = noise(2000, 5);
    const http::prepared ready({http::ws_kind::text, text});
    for (int i = 0; i < 6; ++i) {
      h::task<> sent = i % 2 == 0 ? p.server.send(ready) : p.server.send_text(text);
      co_await sent;
      h::task<> back = i % 3 == 0 ? p.client.send(ready) : p.client.send_text(text);
      co_await back;
      h::task<std::string> next = next_text(p.client);
      const std::string got = co_await next;
      h::task<std::string> other = next_text(p.server);
      const std::string answer = co_await other;
      HOLDS(got == text && answer == text);
    }
    h::task<> closing = close_ws(p.client);
    co_await closing;
  });
}

}  // namespace
