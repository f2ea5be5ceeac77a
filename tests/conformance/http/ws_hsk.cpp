// SPDX-License-Identifier: MIT
// The handshake that opens a WebSocket: client and server, each against a peer that is no library,
// and against each other.
#include "../io/reactor_cases.h"
#include "../io/tls_support.h"
#include "ws_cases.h"

#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/server.h>
#include <heddle/io/http/websocket/handshake.h>
#include <heddle/io/server.h>

#include <set>

namespace {

using namespace conformance;

REACTOR_CASES(HTTP_WS_HSK);

const std::string sample_key = "dGhlIHNhbXBsZSBub25jZQ==";  // RFC 6455, 1.3
const std::string sample_accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

std::string opening(std::string_view path, std::string_view more = {}) {
  return "GET " + std::string(path) +
         " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
         sample_key + "\r\n" + std::string(more) + "\r\n";
}

struct ws_site {
  explicit ws_site(http::ws_options o = {}) {
    server.websocket("/echo", echo_handler, std::move(o));
    server.websocket("/no", [](http::websocket&, http::request&) -> h::task<> {
      throw http::status_error(401, "who are you?");
      co_return;
    });
    server.websocket("/throws", [](http::websocket& ws, http::request&) -> h::task<> {
      ws.accept();
      throw error_e();
      co_return;
    });
    server.websocket("/short", [](http::websocket&, http::request&) -> h::task<> { co_return; });
    server.get("/hello", [](http::request&) { return http::response::text("hello"); });
  }
  h::task<> start() { return server.start("127.0.0.1", 0); }
  [[nodiscard]] std::string url(std::string_view path) const {
    return "ws://127.0.0.1:" + std::to_string(server.port()) + std::string(path);
  }
  http::server server;
};

/// Sends `text`, ends our direction, and returns all that comes.
h::task<std::string> ask_raw(const ws_site& s, std::string text) {
  h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
  c.writer.write(text);
  std::string all;
  try {
    while (co_await c.reader.fill()) {
      all += c.reader.buffered();
      c.reader.consume(c.reader.buffered().size());
      // A close frame, or a refusal: then nothing more is wanted.
      if (all.ends_with("\r\n\r\n") || all.find("close-me") != std::string::npos) break;
    }
  } catch (const std::system_error&) {}
  c.writer.close();
  co_return all;
}

int status_of(std::string_view answer) {
  return answer.size() > 12 ? std::atoi(std::string(answer.substr(9, 3)).c_str()) : 0;
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_01_TheRequestHasAllThatTheStandardAsksFor) {
  run([]() -> h::task<> {
    std::set<std::string> keys;
    for (int i = 0; i < 20; ++i) keys.insert(http::detail::fresh_key());
    EQUAL(keys.size(), 20u);
    EQUAL(http::detail::accept_of(sample_key), sample_accept);
    http::ws_options o;
    o.protocols = {"b", "a"};
    o.headers.add("Origin", "https://example.org");
    o.headers.add("X-Own", "1");
    const auto f = http::detail::opening_fields(o, sample_key);
    EQUAL(f.get("Upgrade").value_or(""), "websocket");
    EQUAL(f.get("Connection").value_or(""), "Upgrade");
    EQUAL(f.get("Sec-WebSocket-Version").value_or(""), "13");
    EQUAL(f.get("Sec-WebSocket-Key").value_or("").size(), 24u);
    EQUAL(f.get("Sec-WebSocket-Protocol").value_or(""), "b, a");
    EQUAL(f.get("Origin").value_or(""), "https://example.org");
    EQUAL(f.get("X-Own").value_or(""), "1");
    o.headers.add("Upgrade", "h2c");
    THROWS(h::bad_value, http::detail::opening_fields(o, sample_key));
    THROWS(h::bad_value, http::connect_websocket("ftp://127.0.0.1/"));
    http::ws_options twice;
    twice.protocols = {"a", "a"};
    THROWS(h::bad_value, http::connect_websocket("ws://127.0.0.1/", twice));
    ws_site s;
    co_await s.start();
    for (const char* scheme : {"ws", "http", "WS"}) {
      h::task<http::websocket> connecting =
          http::connect_websocket(scheme + s.url("/echo").substr(2));
      http::websocket ws = co_await connecting;
      h::task<> sent = send_text(ws, "over");
      co_await sent;
      h::task<std::string> next = next_text(ws);
      const std::string got = co_await next;
      EQUAL(got, "over");
      h::task<> closing = close_ws(ws);
      co_await closing;
      EQUAL(ws.close_code(), 1000);
    }
    co_await s.server.stop();
  });
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_01_AWebSocketOverTls) {
  run([]() -> h::task<> {
    http::server_options so;
    so.tls = h::tls_context::server(as_localhost());
    so.handshake_limit = patience;
    http::server server(so);
    server.websocket("/echo", echo_handler);
    co_await server.start("127.0.0.1", 0);
    http::ws_options o;
    o.tls = h::tls_context::client(trusting());
    o.open_timeout = patience;
    h::task<http::websocket> connecting =
        http::connect_websocket("wss://127.0.0.1:" + std::to_string(server.port()) + "/echo", o);
    http::websocket ws = co_await connecting;
    for (const std::size_t n : {std::size_t{5}, std::size_t{300'000}}) {
      const std::string text(n, 's');
      auto sending = h::create_task(send_text(ws, text));
      h::task<std::string> next = next_text(ws);
      const std::string got = co_await next;
      co_await sending;
      HOLDS(got == text);
    }
    h::task<> closing = close_ws(ws);
    co_await closing;
    EQUAL(ws.close_code(), 1000);
    co_await server.stop();
  });
}

http::response answer_of(int status, std::vector<std::pair<std::string, std::string>> fields) {
  http::response r;
  r.status = status;
  for (const auto& [name, value] : fields) r.headers.add(name, value);
  r.body = "because";
  return r;
}

/// "ok", or what is wrong.
std::string judged(const http::response& r, const http::ws_options& o) {
  try {
    (void)http::detail::judge_answer(r, o, sample_key);
    return "ok";
  } catch (const http::handshake_error& e) {
    return std::to_string(e.status()) + (e.body() == "because" ? "" : "?");
  }
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_02_AWrongAnswerIsAHandshakeError) {
  run([]() -> h::task<> {
    const http::ws_options o;
    using fields = std::vector<std::pair<std::string, std::string>>;
    const fields good = {{"Upgrade", "foo, WebSocket"},
                         {"Connection", "keep-alive, UPGRADE"},
                         {"Sec-WebSocket-Accept", sample_accept}};
    EQUAL(judged(answer_of(101, good), o), "ok");
    EQUAL(judged(answer_of(200, good), o), "200");
    for (std::size_t i = 0; i < good.size(); ++i) {
      fields wrong = good;
      wrong[i].second = "other";
      EQUAL(judged(answer_of(101, wrong), o), "101");
      wrong.erase(wrong.begin() + static_cast<std::ptrdiff_t>(i));
      EQUAL(judged(answer_of(101, wrong), o), "101");
    }
    fields twice = good;
    twice.push_back(good[2]);
    EQUAL(judged(answer_of(101, twice), o), "101");
    ws_site s;
    co_await s.start();
    int status = 0;
    std::string body;
    try {
      h::task<http::websocket> connecting = http::connect_websocket(s.url("/hello"));
      (void)co_await connecting;
    } catch (const http::handshake_error& e) {
      status = e.status();
      body = e.body();
    }
    EQUAL(status, 200);
    EQUAL(body, "hello");
    co_await s.server.stop();
  });
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_03_WhatWasNotOfferedMayNotBeChosen) {
  run([]() -> h::task<> {
    http::ws_options o = plain_options();
    o.protocols = {"a", "b"};
    auto r = answer_of(101, {{"Upgrade", "websocket"},
                             {"Connection", "Upgrade"},
                             {"Sec-WebSocket-Accept", sample_accept}});
    auto with = [&](const char* name, const char* value) {
      auto more = r;
      more.headers.add(name, value);
      return more;
    };
    EQUAL(judged(with("Sec-WebSocket-Protocol", "b"), o), "ok");
    EQUAL(judged(with("Sec-WebSocket-Protocol", "c"), o), "101");
    EQUAL(judged(with("Sec-WebSocket-Protocol", "a, b"), o), "101");
    auto two = with("Sec-WebSocket-Protocol", "a");
    two.headers.add("Sec-WebSocket-Protocol", "b");
    EQUAL(judged(two, o), "101");
    EQUAL(judged(with("Sec-WebSocket-Extensions", "permessage-deflate"), o), "101");
    EQUAL(judged(with("Sec-WebSocket-Extensions", "x-own"), http::ws_options()), "101");
    co_return;
  });
}

http::request request_of(std::string text) {
  http::request_parser parser;
  (void)parser.feed(text);
  HOLDS(parser.done());
  return parser.message();
}

std::string without(std::string text, std::string_view line) {
  const auto at = text.find(line);
  const auto end = text.find("\r\n", at) + 2;
  return text.erase(at, end - at);
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_05_ARequestThatOpensNothingIsRefused) {
  run([]() -> h::task<> {
    http::ws_options o;
    const auto status = [&](const std::string& text) {
      const auto no = http::detail::refusal_of(request_of(text), o);
      return no ? no->status : 101;
    };
    const std::string good = opening("/echo");
    EQUAL(status(good), 101);
    for (const char* line : {"Upgrade:", "Connection:", "Sec-WebSocket-Key:"})
      EQUAL(status(without(good, line)), 400);
    EQUAL(status(without(good, "Sec-WebSocket-Version:")), 426);
    auto other = good;
    other.replace(other.find("13"), 2, "8");
    EQUAL(status(other), 426);
    auto key = good;
    key.replace(key.find(sample_key), 24, "c2hvcnQ=");
    EQUAL(status(key), 400);
    EQUAL(status("POST" + good.substr(3)), 405);
    auto old = good;
    old.replace(old.find("HTTP/1.1"), 8, "HTTP/1.0");
    EQUAL(status(old), 400);
    const auto no = http::detail::refusal_of(request_of(other), o);
    HOLDS(no && no->headers.get("Sec-WebSocket-Version") == "13");
    o.origins = {"https://example.org"};
    EQUAL(status(good), 101);
    EQUAL(status(opening("/", "Origin: https://example.org\r\n")), 101);
    EQUAL(status(opening("/", "Origin: https://evil.example\r\n")), 403);
    ws_site s;
    co_await s.start();
    const std::string raw = "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    h::task<std::string> asking = ask_raw(s, raw);
    const std::string answer = co_await asking;
    EQUAL(status_of(answer), 400);
    co_await s.server.stop();
  });
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_06_TheClientsFirstProtocolThatTheServerKnowsIsChosen) {
  run([]() -> h::task<> {
    http::ws_options known;
    known.protocols = {"a", "c"};
    ws_site s(known);
    co_await s.start();
    struct row {
      std::vector<std::string> offered;
      std::string chosen;
    };
    const row rows[] = {{{"b", "a"}, "a"}, {{"c", "a"}, "c"}, {{"x"}, ""}, {{}, ""}};
    for (const auto& r : rows) {
      http::ws_options o;
      o.protocols = r.offered;
      h::task<http::websocket> connecting = http::connect_websocket(s.url("/echo"), o);
      http::websocket ws = co_await connecting;
      EQUAL(ws.protocol(), r.chosen);
      h::task<> closing = close_ws(ws);
      co_await closing;
    }
    co_await s.server.stop();
  });
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_08_ARefusedUpgradeLeavesTheConnectionToHttp) {
  run([]() -> h::task<> {
    ws_site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    const std::string hello = "GET /hello HTTP/1.1\r\nHost: h\r\n";
    c.writer.write(hello + "\r\n" + opening("/no") + hello + "\r\n" + opening("/none") + hello +
                   "Connection: close\r\n\r\n");
    std::string all;
    while (co_await c.reader.fill()) {
      all += c.reader.buffered();
      c.reader.consume(c.reader.buffered().size());
    }
    c.writer.close();
    std::string statuses;
    for (std::size_t at = 0; (at = all.find("HTTP/1.1 ", at)) != std::string::npos; at += 9)
      statuses += all.substr(at + 9, 3) + " ";
    EQUAL(statuses, "200 401 200 404 200 ");
    HOLDS(all.find("who are you?") != std::string::npos);
    co_await s.server.stop();
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_09_FramesRightBehindTheHandshakeAreNotLost) {
  run([]() -> h::task<> {
    ws_site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    const std::string hello = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";
    c.writer.write(hello + opening("/echo") + from_client(fin | text_op, "early") +
                   from_client(fin | ping_op, "p") + from_client(fin | close_op, close_body(1000)));
    std::string all;
    while (co_await c.reader.fill()) {
      all += c.reader.buffered();
      c.reader.consume(c.reader.buffered().size());
    }
    c.writer.close();
    const auto head = all.find("HTTP/1.1 101");
    HOLDS(all.starts_with("HTTP/1.1 200") && head != std::string::npos);
    HOLDS(all.find(sample_accept) != std::string::npos);
    std::string frames = all.substr(all.find("\r\n\r\n", head) + 4);
    std::string seen;
    while (const auto f = take_frame(frames)) seen += describe(*f) + " ";
    // The pump answers the ping and the close; the handler may be too late with its echo.
    HOLDS(seen == "text(early) pong(p) close(1000) " ||
          seen == "pong(p) text(early) close(1000) " || seen == "pong(p) close(1000) ");
    co_await s.server.stop();

    // Behind the 101: a server that is no library.
    auto greet = [](h::connection peer) -> h::task<> {
      std::string request = co_await peer.reader.read_until("\r\n\r\n");
      const auto at = request.find("Sec-WebSocket-Key: ") + 19;
      peer.writer.write(
          "HTTP/1.1 101 Sure\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"
          "Sec-WebSocket-Accept: " +
          http::detail::accept_of(request.substr(at, 24)) + "\r\n\r\n" +
          from_server(fin | text_op, "first") + from_server(fin | close_op, close_body(1000)));
      (void)co_await peer.reader.read(1000);  // the close
      peer.writer.close();
    };
    h::server_options so;
    h::server raw = co_await h::start_server(greet, "127.0.0.1", 0, so);
    h::task<http::websocket> connecting =
        http::connect_websocket("ws://127.0.0.1:" + std::to_string(raw.port()));
    http::websocket ws = co_await connecting;
    h::task<std::string> next = next_text(ws);
    const std::string got = co_await next;
    EQUAL(got, "first");
    ws = http::websocket();
    raw.close();
    co_await raw.wait_closed();
  });
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_11_AClientThatGoesBeforeTheAnswerIsConnectionLost) {
  run([]() -> h::task<> {
    http::server server;
    h::event entered;
    h::event go;
    h::event told;
    server.websocket("/late", [&](http::websocket& ws, http::request&) -> h::task<> {
      entered.set();
      try {
        co_await go.wait();
        ws.accept();
      } catch (const http::connection_lost&) {
        told.set();
        throw;
      } catch (const h::cancelled_error&) {  // the server has found out before
        told.set();
        throw;
      }
    });
    co_await server.start("127.0.0.1", 0);
    h::connection c = co_await h::open_connection("127.0.0.1", server.port());
    c.writer.write(opening("/late"));
    co_await entered.wait();
    c.writer.close();
    co_await c.writer.wait_closed();
    go.set();
    co_await told.wait();
    co_await server.stop();
  });
  EQUAL(report_count(), 0u);
}

h::task<> until_end(http::websocket& ws) {
  h::task<std::string> receiving = receive_all(ws);
  (void)co_await receiving;
}

TEST_P(HTTP_WS_HSK, HTTP_WS_CLS_12_AHandlersEndIsTheClosesCode) {
  run([]() -> h::task<> {
    ws_site s;
    co_await s.start();
    struct row {
      const char* path;
      int code;
    };
    const row rows[] = {{"/short", 1000}, {"/throws", 1011}};
    for (const auto& r : rows) {
      h::task<http::websocket> connecting = http::connect_websocket(s.url(r.path));
      http::websocket ws = co_await connecting;
      h::task<> ended = until_end(ws);
      co_await ended;
      EQUAL(ws.close_code(), r.code);
    }
    h::task<http::websocket> connecting = http::connect_websocket(s.url("/echo"));
    http::websocket ws = co_await connecting;
    h::task<> sent = send_text(ws, "open");
    co_await sent;
    h::task<std::string> next = next_text(ws);
    (void)co_await next;
    auto ended = h::create_task(until_end(ws));
    co_await s.server.stop();
    co_await ended;
    EQUAL(ws.close_code(), 1001);
  });
  EQUAL(report_count(), reactors().size());
}

TEST_P(HTTP_WS_HSK, HTTP_WS_HSK_04_RedirectionsAreFollowedUpToALimit) {
  run([]() -> h::task<> {
    ws_site s;
    s.server.get("/old", [](http::request&) {
      http::response r = http::response::error(302);
      r.headers.add("Location", "/echo");
      return r;
    });
    s.server.get("/loop", [](http::request&) {
      http::response r = http::response::error(307);
      r.headers.add("Location", "loop");
      return r;
    });
    co_await s.start();
    h::task<http::websocket> connecting = http::connect_websocket(s.url("/old"));
    http::websocket ws = co_await connecting;
    HOLDS(ws.is_open());
    h::task<> closing = close_ws(ws);
    co_await closing;
    http::ws_options few;
    few.redirects = 3;
    bool refused = false;
    try {
      h::task<http::websocket> looping = http::connect_websocket(s.url("/loop"), few);
      (void)co_await looping;
    } catch (const http::redirect_error&) { refused = true; }
    HOLDS(refused);
    co_await s.server.stop();
  });
}

TEST_P(HTTP_WS_HSK, HTTP_WS_PMD_01_CompressionIsUsedIfBothEndsWantIt) {
  run([]() -> h::task<> {
    for (const bool server : {true, false}) {
      ws_site s(server ? http::ws_options() : plain_options());
      co_await s.start();
      for (const bool client : {true, false}) {
        const http::ws_options o = client ? http::ws_options() : plain_options();
        h::task<http::websocket> connecting = http::connect_websocket(s.url("/echo"), o);
        http::websocket ws = co_await connecting;
        EQUAL(ws.is_compressed(), server && client);
        const std::string text(5000, 'z');
        for (int i = 0; i < 2; ++i) {
          h::task<> sent = send_text(ws, text);
          co_await sent;
          h::task<std::string> next = next_text(ws);
          const std::string got = co_await next;
          HOLDS(got == text);
        }
        h::task<> closing = close_ws(ws);
        co_await closing;
      }
      co_await s.server.stop();
    }
  });
}

}  // namespace
