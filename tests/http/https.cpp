// SPDX-License-Identifier: MIT
// HTTP over TLS: server and session.
#include "http/site.h"

#include <heddle/io/http/session.h>
#include <heddle/io/tls.h>

#include <support/certificates.h>

namespace {

using namespace http_test;

class Https : public io_test::on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, Https, testing::ValuesIn(io_test::all_setups()), io_test::name_of);

std::string secure(std::uint16_t port, const std::string& path) {
  return "https://localhost:" + std::to_string(port) + path;
}

http::server_options with_tls() {
  http::server_options o;
  o.tls = h::tls_context::server(support::localhost().certificate, support::localhost().key);
  return o;
}

http::session trusting() {
  h::tls_options t;
  t.ca = support::localhost_ca();
  http::session_options o;
  o.tls = h::tls_context::client(t);
  return http::session(o);
}

TEST_P(Https, ASessionAsksAServerAndKeepsTheConnection) {
  run([]() -> h::task<> {
    http::server s(with_tls());
    const std::string large(300'000, 'L');
    s.get("/large", [&large](http::request&) { return http::response::text(large); });
    s.post("/echo", [](http::request& r) { return http::response::text(r.body); });
    co_await s.start("127.0.0.1", 0);
    http::session client = trusting();
    for (int i = 0; i < 3; ++i) {
      const auto got = co_await client.get(secure(s.port(), "/large"));
      EXPECT_EQ(got.status, 200);
      EXPECT_TRUE(got.body == large);
    }
    const auto echoed = co_await client.post(secure(s.port(), "/echo"), large);
    EXPECT_TRUE(echoed.body == large);
    EXPECT_EQ(s.stats().connections, 1u);
    EXPECT_EQ(client.kept_connections(), 1u);
    client.close_kept();
    co_await s.stop();
  });
}

// socat does so: its request and the end of its direction arrive together. The answer is whole only
// with the server's own end behind it, which a reset would take.
TEST_P(Https, AClientThatHasEndedGetsTheWholeAnswerAndItsEnd) {
  run([]() -> h::task<> {
    http::server s(with_tls());
    s.get("/", [](http::request&) { return http::response::text("all of it"); });
    co_await s.start("127.0.0.1", 0);
    h::connection_options raw;
    h::tls_options trust;
    trust.ca = support::localhost_ca();
    raw.tls = h::tls_context::client(trust);
    for (int i = 0; i < 20; ++i) {
      auto opening = h::open_connection("127.0.0.1", s.port(), raw);
      auto c = co_await opening;
      c.writer.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      c.writer.write_eof();
      const std::string all = co_await c.reader.read(-1);  // throws if it was cut off
      EXPECT_TRUE(all.ends_with("all of it"));
    }
    co_await s.stop();
  });
}

// The end of the server's direction is the end of the answer. TLS 1.2 has no half-closed
// connections.
TEST_P(Https, AnAnswerThatEndsWithTheConnectionIsWhole) {
  run([]() -> h::task<> {
    for (const auto version : {h::tls_version::v1_2, h::tls_version::v1_3}) {
      h::tls_server_options t;
      t.certificate = support::localhost().certificate;
      t.key = support::localhost().key;
      t.max_version = version;
      http::server_options o;
      o.tls = h::tls_context::server(t);
      http::server s(o);
      const std::string large(300'000, 'L');
      s.get("/", [&large](http::request&) { return http::response::text(large); });
      co_await s.start("127.0.0.1", 0);
      http::session client = trusting();
      http::request_options once;
      once.headers.add("Connection", "close");
      const auto got = co_await client.get(secure(s.port(), "/"), once);
      EXPECT_TRUE(got.body == large);
      h::connection_options raw;
      h::tls_options trust;
      trust.ca = support::localhost_ca();
      raw.tls = h::tls_context::client(trust);
      auto c = co_await h::open_connection("127.0.0.1", s.port(), raw);
      c.writer.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      const std::string all = co_await c.reader.read(-1);
      EXPECT_TRUE(all.ends_with(large));
      c.writer.close();
      co_await s.stop();
    }
  });
}

TEST_P(Https, ACertificateThatIsNotTrustedIsTheErrorOfTheRequest) {
  run([]() -> h::task<> {
    http::server s(with_tls());
    s.get("/", [](http::request&) { return http::response::text("x"); });
    co_await s.start("127.0.0.1", 0);
    http::session client;  // trusts the system's authorities alone
    bool refused = false;
    try {
      (void)co_await client.get(secure(s.port(), "/"));
    } catch (const h::certificate_error& e) {
      refused = true;
      EXPECT_EQ(e.host(), "localhost");
    }
    EXPECT_TRUE(refused);
    EXPECT_EQ(s.stats().requests, 0u);
    co_await s.stop();
  });
}

}  // namespace
