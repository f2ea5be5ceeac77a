// SPDX-License-Identifier: MIT
// HTTP-SRV-TLS: certificates of an http::server, and clients that speak the wrong protocol.
#include "../io/tls_support.h"
#include "app.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/server.h>

#include <string>
#include <string_view>

namespace {

using namespace conformance;

REACTOR_CASES(HTTP_SRV_TLS);

constexpr const char* last_ask = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

h::tls_context context_of(const support::identity& i) {
  return h::tls_context::server(i.certificate, i.key);
}
support::identity named(const support::authority& ca, const std::string& name) {
  support::wish w;
  w.common_name = name;
  w.names = {name};
  return ca.issue(w);
}

http::router scheme() {
  http::router r;
  r.get("/", [](http::request& q) { return http::response::text("<" + q.scheme() + ">"); });
  return r;
}

/// A site with this context whose handshakes have time, also on a busy machine.
http::site secure(const h::tls_context& context, h::duration report_every = 1h) {
  h::server_options o = with_tls(context);
  o.report_every = report_every;
  http::site at = http::listen(here, 0);
  at.options(o);
  return at;
}

/// The subject of the certificate that a client sees who asks for this name, and the answer.
h::task<std::string> seen_at(std::uint16_t port, h::tls_context client, std::string name) {
  auto connecting = h::open_connection(here, port, by_tls(client, name));
  h::connection c = co_await std::move(connecting);
  const std::string subject = c.writer.tls().chain.front().subject;
  c.writer.write(last_ask);
  const std::string all = co_await read_to_end(c);
  c.writer.close();
  co_return subject + (all.ends_with("<https>") ? "" : all);
}

TEST_P(HTTP_SRV_TLS, HTTP_SRV_TLS_01_EachNameHasItsCertificateAndNewOnesServeNewConnections) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Site CA");
    h::tls_server_options o;
    const auto main_one = named(ca, "main.test");
    o.certificate = main_one.certificate;
    o.key = main_one.key;
    o.names["one.test"] = context_of(named(ca, "one.test"));
    auto context = h::tls_context::server(o);
    http::server s(scheme());
    auto starting = s.start(secure(context));
    co_await starting;
    h::tls_options trust;
    trust.ca = ca.certificate();
    trust.handshake_limit = patience;
    const auto client = h::tls_context::client(trust);
    EQUAL(co_await seen_at(s.port(), client, "main.test"), "CN=main.test");
    EQUAL(co_await seen_at(s.port(), client, "one.test"), "CN=one.test");
    // A connection that lives goes on when another certificate is loaded.
    auto connecting = h::open_connection(here, s.port(), by_tls(client, "main.test"));
    h::connection kept = co_await std::move(connecting);
    support::wish w;
    w.common_name = "renewed";
    w.names = {"main.test"};
    const auto renewed = ca.issue(w);
    context.reload(renewed.certificate, renewed.key);
    EQUAL(co_await seen_at(s.port(), client, "main.test"), "CN=renewed");
    kept.writer.write(last_ask);
    const std::string all = co_await read_to_end(kept);
    HOLDS(all.ends_with("<https>"));
    kept.writer.close();
    auto stopping = s.stop();
    co_await stopping;
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_TLS, HTTP_SRV_TLS_01_AClientWithoutCertificateOrWithOldTlsReachesNoHandler) {
  run([]() -> h::task<> {
    const support::authority people("CN=People CA");
    h::tls_server_options o = as_localhost();
    o.client_certificate = h::tls_client_certificate::required;
    o.client_ca = people.certificate();
    std::atomic<int> called = 0;
    http::router r;
    r.get("/", [&](http::request&) {
      ++called;
      return http::response::text("in");
    });
    http::server s(r);
    auto starting = s.start(secure(h::tls_context::server(o)));
    co_await starting;
    const auto ask = [&](h::tls_options t) -> h::task<std::string> {
      std::string all;
      try {
        auto connecting = h::open_connection(here, s.port(), by_tls(h::tls_context::client(t)));
        h::connection c = co_await std::move(connecting);
        c.writer.write(last_ask);
        all = co_await read_to_end(c);
        c.writer.close();
      } catch (const std::system_error&) { all = "(refused)"; }
      co_return all;
    };
    const h::tls_options stranger = trusting();
    const std::string unknown = co_await ask(stranger);
    HOLDS(unknown.find("HTTP/1.1") == std::string::npos) << unknown;
    h::tls_options member = trusting();
    const auto id = named(people, "anna");
    member.certificate = id.certificate;
    member.key = id.key;
    const std::string known = co_await ask(member);
    HOLDS(known.ends_with("in")) << known;
    EQUAL(called.load(), 1);
    // Less than TLS 1.2 is not spoken: such a hello ends in an alert.
    auto connecting = h::open_connection(here, s.port());
    h::connection old = co_await std::move(connecting);
    old.writer.write(std::string("\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x01", 11) +
                     std::string(32, 'r') + std::string("\x00\x00\x04\x00\x2f\x00\x35\x01\x00", 9));
    const std::string alert = co_await read_to_end(old);
    HOLDS(alert.find("HTTP") == std::string::npos);
    old.writer.close();
    EQUAL(called.load(), 1);
    auto stopping = s.stop();
    co_await stopping;
  });
}

TEST_P(HTTP_SRV_TLS, HTTP_SRV_TLS_02_PlainHttpAtTheSecurePortIsClosedAndFillsNoLog) {
  run([]() -> h::task<> {
    http::server s(scheme());
    auto starting = s.start(secure(h::tls_context::server(as_localhost())));
    co_await starting;
    for (int i = 0; i < 20; ++i) {
      auto connecting = h::open_connection(here, s.port());
      h::connection c = co_await std::move(connecting);
      c.writer.write(last_ask);
      const std::string all = co_await read_to_end(c);
      HOLDS(all.find("<http") == std::string::npos) << all;
      c.writer.close();
    }
    EQUAL(s.stats().requests, 0u);
    auto connecting = h::open_connection(here, s.port(), by_tls());
    h::connection good = co_await std::move(connecting);
    good.writer.write(last_ask);
    const std::string all = co_await read_to_end(good);
    HOLDS(all.ends_with("<https>"));
    good.writer.close();
    auto stopping = s.stop();
    co_await stopping;
  });
  EQUAL(report_count(), reactors().size());  // one an hour
  for (const auto& r : reports()) EQUAL(r.message, "TLS handshake failed");
}

TEST_P(HTTP_SRV_TLS, HTTP_SRV_TLS_02_AHelloAtThePlainPortIs400) {
  run([]() -> h::task<> {
    http::server s(scheme());
    auto starting = s.start(here, 0);
    co_await starting;
    auto connecting = h::open_connection(here, s.port());
    h::connection c = co_await std::move(connecting);
    c.writer.write(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) +
                   std::string(500, '\x7f'));
    const std::string all = co_await read_to_end(c);
    HOLDS(all.starts_with("HTTP/1.1 400 ")) << all;
    c.writer.close();
    auto stopping = s.stop();
    co_await stopping;
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_TLS, HTTP_SRV_TLS_02_AHandshakeThatNeverEndsRunsOutOfTime) {
  run([]() -> h::task<> {
    http::server_options o;
    o.tls = h::tls_context::server(as_localhost());
    o.handshake_limit = 20ms;
    http::server s(scheme(), o);
    auto starting = s.start(here, 0);
    co_await starting;
    for (int i = 0; i < 3; ++i) {
      auto connecting = h::open_connection(here, s.port());
      h::connection c = co_await std::move(connecting);
      c.writer.write(std::string("\x16\x03\x01\x02\x00\x01", 6));  // and no more
      const std::string all = co_await read_to_end(c);
      HOLDS(all.find("HTTP") == std::string::npos);
      c.writer.close();
    }
    auto stopping = s.stop();
    co_await stopping;
  });
  for (const auto& r : reports()) HOLDS(r.message.starts_with("TLS handshake failed"));
}

}  // namespace
