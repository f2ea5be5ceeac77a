// SPDX-License-Identifier: MIT
// Requests through proxies.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/copy.h>
#include <heddle/io/http/proxy.h>
#include <heddle/io/http/server.h>
#include <heddle/io/tls.h>

#include <support/certificates.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_PRX);

/// A proxy that digs tunnels to this machine, or answers CONNECT with `refusal`. It logs each head.
h::task<> tunnels(h::connection c, std::shared_ptr<journal> log, std::string refusal) {
  try {
    const std::string head = co_await c.reader.read_until("\r\n\r\n");
    log->add(head.substr(0, head.size() - 4));
    if (!refusal.empty()) {
      c.writer.write(refusal);
      c.writer.close();
      co_return;
    }
    const auto colon = head.find(':');
    const int port = std::stoi(head.substr(colon + 1));
    h::connection to = co_await h::open_connection("127.0.0.1", port);
    c.writer.write("HTTP/1.1 200 Connection established\r\n\r\n");
    (void)co_await h::copy(c, to);
    c.writer.close();
    to.writer.close();
  } catch (const std::system_error&) {}
}

h::task<h::server> start_tunnels(std::shared_ptr<journal> log, std::string refusal = "") {
  auto take = [log, refusal](h::connection c) { return tunnels(std::move(c), log, refusal); };
  return h::start_server(take, "127.0.0.1", 0);
}

h::task<> stop(h::server& s) {
  s.close();
  s.abort_clients();
  s.cancel_handlers();
  co_await s.wait_closed();
}

std::string address_of(const h::server& s, std::string_view user = "") {
  return "http://" + std::string(user) + "127.0.0.1:" + std::to_string(s.port());
}

TEST_P(HTTP_CLI_PRX, HTTP_CLI_PRX_02_HttpsGoesThroughATunnelWithoutTheProxysCredentials) {
  run([]() -> h::task<> {
    http::server_options with_tls;
    with_tls.tls =
        h::tls_context::server(support::localhost().certificate, support::localhost().key);
    http::server secure(with_tls);
    secure.get("/", [](http::request& r) {
      return http::response::text(r.headers.contains("proxy-authorization") ? "leaked" : "fine");
    });
    co_await secure.start("127.0.0.1", 0);
    auto log = std::make_shared<journal>();
    h::server proxy = co_await start_tunnels(log);
    http::session_options o;
    h::tls_options trust;
    trust.ca = support::localhost_ca();
    o.tls = h::tls_context::client(trust);
    o.proxy = http::proxy(address_of(proxy, "user:pass@"));
    http::session client(o);
    const std::string port = std::to_string(secure.port());
    for (int i = 0; i < 2; ++i) {
      const auto r = co_await client.get("https://localhost:" + port + "/");
      EQUAL(r.body, "fine");
    }
    const std::string to = "localhost:" + port;
    EQUAL(log->joined(), "CONNECT " + to + " HTTP/1.1\r\nHost: " + to +
                             "\r\nProxy-Authorization: Basic dXNlcjpwYXNz");
    client.close_kept();
    co_await stop(proxy);
    co_await secure.stop();
  });
}

TEST_P(HTTP_CLI_PRX, HTTP_CLI_PRX_04_AProxyThatDoesNotConnectIsAnErrorWithItsStatus) {
  run([]() -> h::task<> {
    for (const auto& [answer, status] :
         {std::pair{"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", 407},
          {"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 403},
          {"garbage\r\n\r\n", 0},
          {"\r\n", 0}}) {
      auto log = std::make_shared<journal>();
      h::server proxy = co_await start_tunnels(log, answer);
      http::session_options o;
      o.proxy = http::proxy(address_of(proxy));
      http::session client(o);
      const auto error = co_await error_of(client.get("https://secret.test/"));
      const auto found =
          told<http::proxy_error>(error, [](const auto& e) { return std::to_string(e.status()); });
      EQUAL(found, std::to_string(status));
      EQUAL(client.open_connections(), 0u);
      co_await stop(proxy);
    }
  });
}

TEST_P(HTTP_CLI_PRX, HTTP_CLI_PRX_05_AProxyThatCannotBeReachedIsNamed) {
  run([]() -> h::task<> {
    auto log = std::make_shared<journal>();
    h::server proxy = co_await start_tunnels(log);
    const std::string gone = address_of(proxy);
    co_await stop(proxy);
    http::session client;
    for (const char* url : {"http://h.test/", "https://h.test/"}) {
      const auto error = co_await error_of(client.at(url).proxy(http::proxy(gone)).get());
      HOLDS(is_a<http::proxy_error>(error));
      HOLDS(what_of(error).find(gone.substr(7)) != std::string::npos);
      EQUAL(code_of(error), ECONNREFUSED);
    }
  });
}

TEST_P(HTTP_CLI_PRX, HTTP_CLI_PRX_06_CredentialsAreShownEachTimeAndConnectionsAreKeptApart) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return ok(r.target + " " + std::string(*r.headers.get("host")) + " " +
                std::string(r.headers.get("proxy-authorization").value_or("none")));
    });
    co_await p.start();
    const std::string at = "127.0.0.1:" + std::to_string(p.port());
    http::session_options o;
    o.proxy = http::proxy("http://u:p@" + at);
    http::session client(o);
    for (int i = 0; i < 2; ++i) {
      const auto r = co_await client.get("http://h.test/x?y");
      EQUAL(r.body, "http://h.test/x?y h.test Basic dTpw");
    }
    EQUAL(p.connections(), 1);
    const auto other = co_await client.at("http://h.test/").proxy(http::proxy(at)).get();
    EQUAL(other.body, "http://h.test/ h.test none");
    EQUAL(p.connections(), 2);
    const http::proxy no_proxy;
    const auto direct = co_await client.at("http://" + at + "/z").proxy(no_proxy).get();
    EQUAL(direct.body, "/z " + at + " none");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_PRX, HTTP_CLI_PRX_08_EachHopChoosesItsProxyAnew) {
  run([]() -> h::task<> {
    auto inner = std::make_shared<std::string>();
    peer direct([](const http::request& r, int) {
      return ok(r.target + " " +
                std::string(r.headers.get("proxy-authorization").value_or("none")));
    });
    co_await direct.start();
    *inner = direct.url("/end");
    peer proxy([inner](const http::request&, int) { return moved(302, *inner); });
    co_await proxy.start();
    http::session_options o;
    o.proxy = http::proxy("http://u:p@127.0.0.1:" + std::to_string(proxy.port()), "127.0.0.1");
    http::session client(o);
    const auto r = co_await client.get("http://h.test/a");
    EQUAL(r.body, "/end none");
    EQUAL(proxy.seen(), "GET http://h.test/a");
    co_await proxy.stop();
    co_await direct.stop();
  });
}

TEST_P(HTTP_CLI_PRX, HTTP_CLI_PRX_08_NamesWithoutAProxyAreFoundWhole) {
  const http::proxy p("proxy.test:3128", "a.com, .b.com,*.c.com, 127.0.0.1, h:8080");
  const auto through = [&](std::string_view url) {
    return p.choose(http::url::parse(url)) != nullptr;
  };
  for (const char* url : {"http://a.com", "http://x.a.com", "http://B.com", "https://y.b.com",
                          "http://z.c.com", "http://127.0.0.1:99", "http://h:8080"})
    HOLDS(!through(url));
  for (const char* url : {"http://nota.com", "http://a.com.org", "http://h", "http://128.0.0.1"})
    HOLDS(through(url));
  EQUAL(p.choose(http::url::parse("http://other.org"))->port, 3128);
  HOLDS(http::proxy("http://x", "*").choose(http::url::parse("http://h")) == nullptr);
  THROWS(h::bad_value, http::proxy("socks4://h"));
}

}  // namespace
}  // namespace conformance
