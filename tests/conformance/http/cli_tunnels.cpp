// SPDX-License-Identifier: MIT
// Proxies that are spoken to by TLS, and TLS to the server inside of that.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/copy.h>
#include <heddle/io/http/proxy.h>
#include <heddle/io/http/server.h>
#include <heddle/io/tls.h>
#include <heddle/sched/create_task.h>

#include <support/certificates.h>

#include <memory>
#include <string>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_PRX_TLS);

std::string port_text(std::uint16_t port) { return ":" + std::to_string(port); }

using shared_connection = std::shared_ptr<h::connection>;

h::task<> copy_all(shared_connection from, shared_connection to) {
  try {
    (void)co_await h::copy(from->reader, to->writer);
  } catch (const std::system_error&) {}
}

/// Sends so many bytes of the server, and ends the tunnel.
h::task<> cut_off(shared_connection guest, shared_connection to, std::size_t cut) {
  auto upwards = h::create_task(copy_all(guest, to));
  while (cut != 0) {
    const std::string piece = co_await to->reader.read(static_cast<std::ptrdiff_t>(cut));
    if (piece.empty()) break;
    cut -= piece.size();
    guest->writer.write(piece);
  }
  upwards.cancel();
}

/// Digs tunnels to this machine, and logs each head. `cut`: the tunnel ends behind so many bytes of
/// the server, and says nothing of it to the TLS inside.
h::task<> serve_proxy(h::connection c, std::shared_ptr<journal> log, std::size_t cut) {
  try {
    const std::string head = co_await c.reader.read_until("\r\n\r\n");
    log->add(head.substr(0, head.find("\r\n")));
    const auto colon = head.find(':');
    h::connection to = co_await h::open_connection("127.0.0.1", std::stoi(head.substr(colon + 1)));
    c.writer.write("HTTP/1.1 200 Connection established\r\n\r\n");
    auto guest = std::make_shared<h::connection>(std::move(c));
    auto server = std::make_shared<h::connection>(std::move(to));
    if (cut == 0) {
      (void)co_await h::copy(*guest, *server);
    } else {
      auto cutting = cut_off(guest, server, cut);
      co_await cutting;
    }
    guest->writer.close();
    server->writer.close();
  } catch (const std::system_error&) {
  } catch (const h::incomplete_read_error&) {}
}

h::task<h::server> start_proxy(support::identity id, std::shared_ptr<journal> log,
                               std::size_t cut = 0) {
  h::server_options o;
  o.tls = h::tls_context::server(id.certificate, id.key);
  auto take = [log, cut](h::connection c) { return serve_proxy(std::move(c), log, cut); };
  auto starting = h::start_server(take, "127.0.0.1", 0, o);
  h::server s = co_await starting;
  co_return s;
}

h::task<> stop(h::server& s) {
  s.close();
  s.abort_clients();
  s.cancel_handlers();
  co_await s.wait_closed();
}

/// A server for "origin.test" that sends `large`, and what it was sent.
struct origin {
  origin(const support::authority& ca, const std::string& large)
      : server(options(ca.issue({.names = {"origin.test"}}))) {
    server.get("/", [large](http::request&) { return http::response::text(large); });
    server.post("/", [](http::request& r) {
      return http::response::text(r.headers.contains("proxy-authorization") ? "leak" : r.body);
    });
  }
  static http::server_options options(const support::identity& id) {
    http::server_options o;
    o.limits.body_bytes = 8 << 20;
    o.tls = h::tls_context::server(id.certificate, id.key);
    return o;
  }
  h::task<> start() { return server.start("127.0.0.1", 0); }
  [[nodiscard]] std::string url() const {
    return "https://origin.test" + port_text(server.port()) + "/";
  }
  http::server server;
};

http::session_options trusting(const support::authority& ca, const std::string& proxy) {
  h::tls_options t;
  t.ca = ca.certificate();
  http::session_options o;
  o.tls = h::tls_context::client(t);
  o.proxy = http::proxy(proxy);
  return o;
}

TEST_P(HTTP_CLI_PRX_TLS, HTTP_CLI_PRX_03_TlsGoesThroughTls) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    const std::string large(3 << 20, 'L');
    origin o(ca, large);
    co_await o.start();
    auto log = std::make_shared<journal>();
    auto starting = start_proxy(ca.issue({.names = {"localhost"}}), log);
    h::server proxy = co_await starting;
    http::session client(trusting(ca, "https://u:p@localhost" + port_text(proxy.port())));
    for (int i = 0; i < 3; ++i) {
      auto getting = client.get(o.url());
      const auto got = co_await getting;
      HOLDS(got.body == large);
      auto posting = client.post(o.url(), large);
      const auto echoed = co_await posting;
      HOLDS(echoed.body == large);
    }
    EQUAL(log->joined(), "CONNECT origin.test" + port_text(o.server.port()) + " HTTP/1.1");
    EQUAL(client.kept_connections(), 1u);
    client.close_kept();
    co_await stop(proxy);
    co_await o.server.stop();
  });
}

TEST_P(HTTP_CLI_PRX_TLS, HTTP_CLI_PRX_03_AnswersThatEndWithTheConnectionAreWhole) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    const std::string large(300'000, 'L');
    origin o(ca, large);
    co_await o.start();
    auto log = std::make_shared<journal>();
    auto starting = start_proxy(ca.issue({.names = {"localhost"}}), log);
    h::server proxy = co_await starting;
    auto options = trusting(ca, "https://localhost" + port_text(proxy.port()));
    options.pool.force_close = true;
    http::session client(options);
    for (int i = 0; i < 3; ++i) {
      auto getting = client.get(o.url());
      const auto got = co_await getting;
      HOLDS(got.body == large);
    }
    EQUAL(log->lines().size(), 3u);
    co_await stop(proxy);
    co_await o.server.stop();
  });
}

TEST_P(HTTP_CLI_PRX_TLS, HTTP_CLI_PRX_03_BothCertificatesAreCheckedEachByItsName) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    origin o(ca, "secret");
    co_await o.start();
    for (const char* name : {"localhost", "origin.test"}) {
      auto log = std::make_shared<journal>();
      auto starting = start_proxy(ca.issue({.names = {name}}), log);
      h::server proxy = co_await starting;
      http::session client(trusting(ca, "https://localhost" + port_text(proxy.port())));
      const bool right = std::string(name) == "localhost";
      auto request = client.at(right ? "https://other.test" + port_text(o.server.port()) : o.url());
      const auto error = co_await error_of(request.get());
      const auto host = told<h::certificate_error>(error, [](const auto& e) { return e.host(); });
      EQUAL(host, right ? "other.test" : "localhost");
      EQUAL(log->lines().size(), right ? 1u : 0u);
      EQUAL(o.server.stats().requests, 0u);
      EQUAL(client.open_connections(), 0u);
      co_await stop(proxy);
    }
    co_await o.server.stop();
  });
}

TEST_P(HTTP_CLI_PRX_TLS, HTTP_CLI_PRX_03_WhatARequestSaysOfItsServerIsNotForTheProxy) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    const support::authority other("CN=Other");
    origin o(other, "secret");
    co_await o.start();
    auto log = std::make_shared<journal>();
    auto starting = start_proxy(ca.issue({.names = {"localhost"}}), log);
    h::server proxy = co_await starting;
    h::tls_options all;
    all.verify = h::tls_verify::insecure_none;
    const auto unchecked = h::tls_context::client(all);
    const std::string by = "https://localhost" + port_text(proxy.port());
    http::session_options plain;
    plain.proxy = http::proxy(by);
    http::session client(plain);
    auto request = client.at(o.url());
    request.tls(unchecked);
    const auto error = co_await error_of(request.get());
    const auto host = told<h::certificate_error>(error, [](const auto& e) { return e.host(); });
    EQUAL(host, "localhost");
    h::tls_options trust;
    trust.ca = ca.certificate();
    http::proxy own(by);
    own.tls(h::tls_context::client(trust));
    auto again = client.at(o.url());
    again.tls(unchecked).proxy(own);
    auto getting = again.get();
    const auto got = co_await getting;
    EQUAL(got.body, "secret");
    client.close_kept();
    co_await stop(proxy);
    co_await o.server.stop();
  });
}

TEST_P(HTTP_CLI_PRX_TLS, HTTP_CLI_PRX_03_AProxyThatCutsATunnelOffIsNoEnd) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    const std::string large(300'000, 'L');
    origin o(ca, large);
    co_await o.start();
    auto log = std::make_shared<journal>();
    for (const std::size_t cut : {std::size_t{40}, std::size_t{100'000}}) {
      auto starting = start_proxy(ca.issue({.names = {"localhost"}}), log, cut);
      h::server proxy = co_await starting;
      http::session client(trusting(ca, "https://localhost" + port_text(proxy.port())));
      const auto error = co_await error_of(client.get(o.url()));
      HOLDS(is_a<std::system_error>(error));
      HOLDS(is_a<http::payload_error>(error) == (cut > 1000)) << what_of(error);
      EQUAL(client.open_connections(), 0u);
      co_await stop(proxy);
    }
    co_await o.server.stop();
  });
}

TEST_P(HTTP_CLI_PRX_TLS, HTTP_CLI_PRX_03_PlainHttpGoesToTheProxyByTls) {
  run([]() -> h::task<> {
    http::server_options with_tls;
    with_tls.tls =
        h::tls_context::server(support::localhost().certificate, support::localhost().key);
    http::server proxy(with_tls);
    proxy.get("/x", [](http::request& r) {
      return http::response::text(
          r.target + " " + std::string(r.headers.get("proxy-authorization").value_or("none")));
    });
    co_await proxy.start("127.0.0.1", 0);
    h::tls_options trust;
    trust.ca = support::localhost_ca();
    http::session_options o;
    o.tls = h::tls_context::client(trust);
    o.proxy = http::proxy("https://u:p@localhost" + port_text(proxy.port()));
    http::session client(o);
    auto getting = client.get("http://h.test/x");
    const auto r = co_await getting;
    EQUAL(r.body, "http://h.test/x Basic dTpw");
    client.close_kept();
    co_await proxy.stop();
  });
}

}  // namespace
}  // namespace conformance
