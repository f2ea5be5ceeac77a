// SPDX-License-Identifier: MIT
// WebSockets and event streams that open over a session, with all that the session brings.
#include "client_cases.h"
#include "ws_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/copy.h>
#include <heddle/io/http/event_source.h>
#include <heddle/io/http/server.h>
#include <heddle/io/http/websocket.h>
#include <heddle/io/tls.h>

#include <support/certificates.h>

#include <memory>
#include <string>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_WS_HSK_SESSION);
REACTOR_CASES(HTTP_SSE_SESSION);

/// A server with a WebSocket that says what its handshake brought, then echoes.
struct told_site {
  explicit told_site(http::server_options o = {}) : server(std::move(o)) {
    http::ws_options w;
    w.protocols = {"b", "c"};
    server.websocket("/told", tell, w);
    server.get("/away", [](http::request& r) { return away(r.query("to").value_or("")); });
    server.get("/plain", [](http::request&) { return http::response::text("no socket"); });
  }
  static http::response away(std::string_view to) {
    http::response r;
    r.status = 302;
    r.headers.add("Location", to);
    r.headers.add("Set-Cookie", "hop=1");
    return r;
  }
  static h::task<> tell(http::websocket& ws, http::request& r) {
    ws.accept();
    const auto field = [&](const char* name) {
      return std::string(r.headers.get(name).value_or("-"));
    };
    const std::string text = field("cookie") + "|" + field("authorization") + "|" + field("x") +
                             "|" + field("proxy-authorization") + "|" + ws.protocol();
    h::task<> sending = ws.send_text(text);
    co_await sending;
    h::task<> echoing = echo_ws(ws);
    co_await echoing;
  }
  h::task<> start() { return server.start("127.0.0.1", 0); }
  [[nodiscard]] std::string url(std::string_view scheme, std::string_view path) const {
    return std::string(scheme) + "://localhost:" + std::to_string(server.port()) +
           std::string(path);
  }
  http::server server;
};

/// What the site says, and an echo of three sizes.
h::task<std::string> told_over(http::websocket ws) {
  auto receiving = ws.receive_text();
  const auto text = co_await receiving;
  for (const std::size_t size : {std::size_t{1}, std::size_t{300}, std::size_t{100'000}}) {
    const std::string sent(size, 'e');
    h::task<> sending = ws.send_text(sent);
    co_await sending;
    auto echoing = ws.receive_text();
    const auto echoed = co_await echoing;
    HOLDS(echoed == sent);
  }
  h::task<> closing = ws.close();
  co_await closing;
  EQUAL(ws.close_code(), 1000);
  co_return text.value_or("nothing");
}

h::task<std::string> ask(http::request_builder request) {
  auto opening = request.websocket();
  http::websocket ws = co_await opening;
  auto telling = told_over(std::move(ws));
  co_return co_await telling;
}

TEST_P(HTTP_WS_HSK_SESSION, HTTP_WS_HSK_04_FieldsCookiesAndCredentialsOfTheSessionGoWithIt) {
  run([]() -> h::task<> {
    told_site s;
    co_await s.start();
    http::session_options o;
    o.base_url = s.url("http", "/");
    o.headers.add("X", "default");
    o.auth = http::basic("u", "p");
    o.cookies = http::cookie_jar();
    o.cookies->set(http::url::parse(o.base_url), "a=1");
    o.decompress = true;
    http::session client(o);
    auto first = client.at(s.url("ws", "/told"));
    first.cookie("b", "2").protocols({"a", "c"});
    const std::string told = co_await ask(std::move(first));
    EQUAL(told, "b=2; a=1|Basic dTpw|default|-|c");
    auto relative = client.at("told");
    relative.header("X", "own");
    const std::string again = co_await ask(std::move(relative));
    EQUAL(again, "a=1|Basic dTpw|own|-|");
    EQUAL(client.open_connections(), 0u);
    co_await s.server.stop();
  });
}

TEST_P(HTTP_WS_HSK_SESSION, HTTP_WS_HSK_04_RedirectionsAreFollowedAndTheirCookiesKept) {
  run([]() -> h::task<> {
    told_site s;
    co_await s.start();
    http::session_options o;
    o.cookies = http::cookie_jar();
    http::session client(o);
    for (const char* scheme : {"ws", "http"}) {
      const std::string to = http::percent_encode(s.url(scheme, "/told"));
      const std::string told = co_await ask(client.at(s.url("ws", "/away?to=" + to)));
      EQUAL(told, "hop=1|-|-|-|");
    }
    auto never = client.at(s.url("ws", "/away?to=%2Ftold"));
    never.redirects(0);
    const auto error = co_await error_of(never.websocket());
    const auto status = told<http::handshake_error>(
        error, [](const auto& e) { return std::to_string(e.status()); });
    EQUAL(status, "302");
    client.close_kept();
    co_await s.server.stop();
  });
}

TEST_P(HTTP_WS_HSK_SESSION, HTTP_WS_HSK_04_NoRedirectionLeadsFromWssToWs) {
  run([]() -> h::task<> {
    http::server_options with_tls;
    with_tls.tls =
        h::tls_context::server(support::localhost().certificate, support::localhost().key);
    told_site secure(with_tls);
    co_await secure.start();
    h::tls_options trust;
    trust.ca = support::localhost_ca();
    http::session_options o;
    o.tls = h::tls_context::client(trust);
    http::session client(o);
    const std::string right = co_await ask(client.at(secure.url("wss", "/told")));
    EQUAL(right, "-|-|-|-|");
    const auto error = co_await error_of(
        client.at(secure.url("wss", "/away?to=ws%3A%2F%2Flocalhost%2Ftold")).websocket());
    HOLDS(is_a<http::redirect_error>(error)) << what_of(error);
    client.close_kept();
    co_await secure.server.stop();
  });
}

/// Digs tunnels to this machine, and logs the first lines.
h::task<> serve_tunnel(h::connection c, std::shared_ptr<journal> log) {
  try {
    const std::string head = co_await c.reader.read_until("\r\n\r\n");
    log->add(head.substr(0, head.find("\r\n")));
    h::connection to =
        co_await h::open_connection("127.0.0.1", std::stoi(head.substr(head.find(':') + 1)));
    c.writer.write("HTTP/1.1 200 Fine\r\n\r\n");
    (void)co_await h::copy(c, to);
    c.writer.close();
    to.writer.close();
  } catch (const std::system_error&) {
  } catch (const h::incomplete_read_error&) {}
}

TEST_P(HTTP_WS_HSK_SESSION, HTTP_WS_HSK_01_AProxyDigsATunnelForWsToo) {
  run([]() -> h::task<> {
    told_site s;
    co_await s.start();
    auto log = std::make_shared<journal>();
    auto take = [log](h::connection c) { return serve_tunnel(std::move(c), log); };
    auto starting = h::start_server(take, "127.0.0.1", 0);
    h::server proxy = co_await starting;
    http::session_options o;
    o.proxy = http::proxy("http://u:p@127.0.0.1:" + std::to_string(proxy.port()));
    http::session client(o);
    const std::string told = co_await ask(client.at(s.url("ws", "/told")));
    EQUAL(told, "-|-|-|-|");
    EQUAL(log->joined(), "CONNECT localhost:" + std::to_string(s.server.port()) + " HTTP/1.1");
    proxy.close();
    proxy.abort_clients();
    proxy.cancel_handlers();
    co_await proxy.wait_closed();
    co_await s.server.stop();
  });
}

/// A server of bytes that asks for a digest before it opens, and tells the keys that it was sent.
std::string digest_answer(const http::request& r, const std::shared_ptr<journal>& keys) {
  keys->add(std::string(r.headers.get("sec-websocket-key").value_or("-")));
  if (!r.headers.contains("authorization")) {
    return "HTTP/1.1 401 x\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n"
           "Content-Length: 0\r\n\r\n";
  }
  return "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nwhy?";
}

TEST_P(HTTP_WS_HSK_SESSION, HTTP_WS_HSK_04_ADigestAnswersAndEachTryHasItsOwnKey) {
  run([]() -> h::task<> {
    auto keys = std::make_shared<journal>();
    peer p([keys](const http::request& r, int) { return digest_answer(r, keys); });
    co_await p.start();
    http::session_options o;
    o.auth = http::digest("u", "p");
    http::session client(o);
    const auto error = co_await error_of(client.at(p.url("/")).websocket());
    const auto found = told<http::handshake_error>(
        error, [](const auto& e) { return std::to_string(e.status()) + e.body(); });
    EQUAL(found, "403why?");
    const auto sent = keys->lines();
    EQUAL(sent.size(), 2u);
    HOLDS(sent[0] != sent[1]);
    EQUAL(client.open_connections(), client.kept_connections());
    client.close_kept();
    co_await p.stop();
  });
}

TEST_P(HTTP_WS_HSK_SESSION, HTTP_WS_HSK_02_WhatCannotOpenIsToldAndLeavesNothing) {
  run([]() -> h::task<> {
    told_site s;
    co_await s.start();
    http::session client;
    const auto plain = co_await error_of(client.at(s.url("ws", "/plain")).websocket());
    const auto body = told<http::handshake_error>(
        plain, [](const auto& e) { return e.body() + " of " + e.url(); });
    EQUAL(body, "no socket of " + s.url("http", "/plain"));
    auto with_body = client.at(s.url("ws", "/told"));
    with_body.text("x");
    THROWS(h::usage_error, with_body.websocket());
    auto own_field = client.at(s.url("ws", "/told"));
    own_field.header("Upgrade", "h2c");
    THROWS(h::bad_value, own_field.websocket());
    THROWS(h::bad_value, client.at(s.url("ws", "/told")).get());
    http::session_options few;
    few.pool.limit = 1;
    http::session one(few);
    auto opening = one.at(s.url("ws", "/told")).websocket();
    http::websocket open = co_await opening;
    auto getting = one.get(s.url("http", "/plain"));  // the open one holds no place
    const auto r = co_await getting;
    EQUAL(r.body, "no socket");
    one.close_kept();
    client.close_kept();
    h::task<> closing = open.close();
    co_await closing;
    co_await s.server.stop();
  });
}

TEST_P(HTTP_SSE_SESSION, HTTP_SSE_07_ASourceAsksByASession) {
  run([]() -> h::task<> {
    auto asked = std::make_shared<journal>();
    peer p([asked](const http::request& r, int) -> std::string {
      asked->add(std::string(r.headers.get("last-event-id").value_or("-")) + " " +
                 std::string(r.headers.get("accept").value_or("-")) + " " +
                 std::string(r.headers.get("x").value_or("-")));
      if (r.target == "/") return moved(302, "/events");
      switch (asked->lines().size()) {
        case 2:
          return "!HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                 "retry: 1\nid: 7\ndata: a\n\n";
        case 4: return ok("id: 8\ndata: b\n\n", "Content-Type: text/event-stream\r\n");
        default: return "HTTP/1.1 204 No\r\n\r\n";
      }
    });
    co_await p.start();
    http::session_options o;
    o.headers.add("X", "y");
    o.check_status = true;
    o.timeout = std::chrono::minutes(1);
    http::session client(o);
    http::event_source_options quick;
    quick.retry = std::chrono::milliseconds(1);
    http::event_source events(client, p.url("/"), quick);
    std::string found;
    for (;;) {
      auto next = events.next();
      const auto e = co_await next;
      if (!e) break;
      found += e->id + e->data + " ";
    }
    EQUAL(found, "7a 8b ");
    EQUAL(events.connections(), 3u);
    const std::string stream = " text/event-stream y";
    EQUAL(asked->joined(), "-" + stream + " -" + stream + " 7" + stream + " 7" + stream + " 8" +
                               stream + " 8" + stream);
    THROWS(h::bad_value, http::event_source(client, "ftp://h"));
    client.close_kept();
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
