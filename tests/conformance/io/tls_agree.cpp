// SPDX-License-Identifier: MIT
// TLS: what the two ends agree on, and certificates of clients.
#include "tls_support.h"

namespace {

using namespace conformance;

REACTOR_CASES(IO_TLS_AGREE);

using protocols = std::vector<std::string>;

h::task<std::string> agreed(protocols of_client, protocols of_server) {
  h::tls_options c = trusting();
  c.alpn = std::move(of_client);
  h::tls_server_options s = as_localhost();
  s.alpn = std::move(of_server);
  auto connecting =
      connect_tls_ends(with_tls(h::tls_context::server(s)), by_tls(h::tls_context::client(c)));
  ends e = co_await std::move(connecting);
  if (e.client.writer.tls().alpn != e.server.writer.tls().alpn) co_return "they differ";
  co_return e.client.writer.tls().alpn;
}

TEST_P(IO_TLS_AGREE, IO_TLS_14_TheyAgreeOnAProtocol) {
  run([]() -> h::task<> {
    const protocols none;
    const protocols h2_first = words("h2", "http/1.1");
    const protocols h1_first = words("http/1.1", "h2");
    auto one = agreed(h2_first, h1_first);
    EQUAL(co_await std::move(one), "http/1.1");  // the server's choice
    auto two = agreed(none, h1_first);
    EQUAL(co_await std::move(two), "");
    auto three = agreed(h1_first, none);
    EQUAL(co_await std::move(three), "");
    h::tls_server_options o = as_localhost();
    o.alpn = words("h2");
    h::tls_options c = trusting();
    c.alpn = words("spdy/1");
    auto s = co_await h::start_server(echo, here, 0, with_tls(h::tls_context::server(o)));
    const auto error = co_await connect_error(s.port(), by_tls(h::tls_context::client(c)));
    HOLDS(has_code(error, h::tls_errc::no_common_protocol)) << text_of(error);
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), reactors().size());
  for (const auto& r : reports()) HOLDS(has_code(r.error, h::tls_errc::no_common_protocol));
  h::tls_options bad;
  bad.alpn = words("");
  THROWS(h::bad_value, h::tls_context::client(bad));
}

TEST_P(IO_TLS_AGREE, IO_TLS_15_WhatWasAgreedIsKnownAfterTheHandshakeAndTheEnd) {
  run([]() -> h::task<> {
    auto plain_ends = support::connect_by_tcp(h::default_stream_limit);
    ends plain = co_await std::move(plain_ends);
    HOLDS(!plain.client.writer.tls());
    auto upgrading = h::create_task(
        error_of(plain.client.writer.start_tls(h::tls_context::client(trusting()), "localhost")));
    co_await until_waiting(upgrading);
    THROWS(h::usage_error, plain.client.writer.tls());
    plain.server.writer.close();
    const std::exception_ptr& error = co_await upgrading;
    HOLDS(has_code(error, h::tls_errc::truncated) || is_broken(error)) << text_of(error);
    ends e = co_await connect_tls_ends();
    e.client.writer.close();
    e.server.writer.close();
    co_await e.client.writer.wait_closed();
    EQUAL(e.client.writer.tls().version, "TLSv1.3");
  });
}

TEST_P(IO_TLS_AGREE, IO_TLS_16_WhatAHandshakeHasAgreedOnCanBeAsked) {
  run([]() -> h::task<> {
    const support::authority top("Top CA");
    const support::authority middle = top.below("Middle CA");
    support::wish w;
    w.common_name = "localhost";
    w.names = words("localhost", "other.test");
    w.addresses = words("127.0.0.1");
    const auto shown = middle.issue(w);
    h::tls_options o;
    o.ca = top.certificate();
    auto connecting =
        connect_tls_ends(with_tls(h::tls_context::server(shown.certificate, shown.key)),
                         by_tls(h::tls_context::client(o), "localhost"));
    ends e = co_await std::move(connecting);
    const h::tls_info client = e.client.writer.tls();
    EQUAL(client.version, "TLSv1.3");
    HOLDS(client.cipher.starts_with("TLS_"));
    EQUAL(client.server_name, "localhost");
    HOLDS(!client.resumed);
    EQUAL(client.chain.size(), 2u);
    const auto& own = client.chain.front();
    EQUAL(own.subject, "CN=localhost");
    EQUAL(own.issuer, "CN=Middle CA");
    HOLDS(own.names == words("localhost", "other.test", "127.0.0.1"));
    EQUAL(own.key_sha256.size(), 64u);
    HOLDS(own.der.size() > 100 && own.der.front() == '\x30');
    const h::tls_info server = e.server.writer.tls();
    EQUAL(server.server_name, "localhost");
    EQUAL(server.cipher, client.cipher);
    HOLDS(server.chain.empty());
    // Pins, beside verification.
    o.pins.push_back(own.key_sha256);
    auto s = co_await h::start_server(
        echo, here, 0, with_tls(h::tls_context::server(shown.certificate, shown.key)));
    const auto none = co_await connect_error(s.port(), by_tls(h::tls_context::client(o)));
    HOLDS(!none) << text_of(none);
    o.pins.front().front() = o.pins.front().front() == '0' ? '1' : '0';
    const auto error = co_await connect_error(s.port(), by_tls(h::tls_context::client(o)));
    HOLDS(has_code(error, h::tls_errc::wrong_pin)) << text_of(error);
  });
}

const support::authority& clients() {
  static const support::authority one("Clients CA");
  return one;
}

h::tls_server_options asking(h::tls_client_certificate how) {
  h::tls_server_options o = as_localhost();
  o.client_certificate = how;
  o.client_ca = clients().certificate();
  return o;
}

h::tls_context client_with(const support::authority* issuer, h::tls_version most) {
  h::tls_options o = trusting();
  o.max_version = most;
  if (issuer) {
    support::wish w;
    w.common_name = "Ada";
    const auto own = issuer->issue(w);
    o.certificate = own.certificate;
    o.key = own.key;
  }
  return h::tls_context::client(o);
}

/// The error that a client is told of, by connecting or by its first read.
h::task<std::exception_ptr> first_error(std::uint16_t port, h::tls_context context) {
  std::exception_ptr error;
  try {
    auto c = co_await h::open_connection(here, port, by_tls(context));
    c.writer.write("question\n");
    (void)co_await c.reader.read_line();
  } catch (...) { error = std::current_exception(); }
  co_return error;
}

TEST_P(IO_TLS_AGREE, IO_TLS_17_AClientWithoutTheRightCertificateIsToldByItsFirstRead) {
  run([]() -> h::task<> {
    const support::authority wrong("Wrong CA");
    const auto context = h::tls_context::server(asking(h::tls_client_certificate::required));
    auto s = co_await h::start_server(echo, here, 0, with_tls(context));
    for (const auto version : {h::tls_version::v1_2, h::tls_version::v1_3}) {
      const auto none = co_await first_error(s.port(), client_with(nullptr, version));
      HOLDS(has_code(none, h::tls_errc::alert)) << text_of(none);
      const auto bad = co_await first_error(s.port(), client_with(&wrong, version));
      HOLDS(has_code(bad, h::tls_errc::alert)) << text_of(bad);
      const auto good = co_await first_error(s.port(), client_with(&clients(), version));
      HOLDS(!good) << text_of(good);
    }
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), 4 * reactors().size());
  for (const auto& r : reports())
    HOLDS(has_code(r.error, h::tls_errc::no_certificate) ||
          has_code(r.error, h::tls_errc::untrusted))
        << text_of(r.error);
}

TEST_P(IO_TLS_AGREE, IO_TLS_18_AFurtherCheckMayRefuseAClient) {
  run([]() -> h::task<> {
    auto o = asking(h::tls_client_certificate::optional);
    o.check_client = [](const h::tls_info& client) {
      if (client.chain.front().subject == "CN=Eve") throw error_e();
    };
    auto who = [](h::connection c) -> h::task<> {
      (void)co_await c.reader.read_line();
      const auto info = c.writer.tls();
      c.writer.write((info.chain.empty() ? "nobody" : info.chain.front().subject) + "\n");
      co_await c.writer.drain();
    };
    auto s = co_await h::start_server(who, here, 0, with_tls(h::tls_context::server(o)));
    for (const bool known : {true, false}) {
      const auto context = client_with(known ? &clients() : nullptr, h::tls_version::v1_3);
      auto c = co_await h::open_connection(here, s.port(), by_tls(context));
      c.writer.write("who\n");
      const std::string name = co_await c.reader.read_line();
      EQUAL(name, known ? "CN=Ada\n" : "nobody\n");
    }
    support::wish w;
    w.common_name = "Eve";
    const auto eve = clients().issue(w);
    h::tls_options by_eve = trusting();
    by_eve.certificate = eve.certificate;
    by_eve.key = eve.key;
    const auto error = co_await first_error(s.port(), h::tls_context::client(by_eve));
    HOLDS(has_code(error, h::tls_errc::alert)) << text_of(error);
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), reactors().size());
  for (const auto& r : reports()) EQUAL(name_of(r.error), "E");
}

TEST_P(IO_TLS_AGREE, IO_TLS_19_NoCommonVersionOrCipherSaysWhich) {
  run([]() -> h::task<> {
    h::tls_server_options modern = as_localhost();
    modern.min_version = h::tls_version::v1_3;
    auto s = co_await h::start_server(echo, here, 0, with_tls(h::tls_context::server(modern)));
    h::tls_options old = trusting();
    old.max_version = h::tls_version::v1_2;
    const auto version = co_await connect_error(s.port(), by_tls(h::tls_context::client(old)));
    HOLDS(has_code(version, h::tls_errc::no_common_version)) << text_of(version);
    h::tls_server_options few = as_localhost();
    few.ciphers_1_3 = "TLS_AES_128_GCM_SHA256";
    auto t = co_await h::start_server(echo, here, 0, with_tls(h::tls_context::server(few)));
    h::tls_options other = trusting();
    other.min_version = h::tls_version::v1_3;
    other.ciphers_1_3 = "TLS_AES_256_GCM_SHA384";
    const auto cipher = co_await connect_error(t.port(), by_tls(h::tls_context::client(other)));
    HOLDS(has_code(cipher, h::tls_errc::alert)) << text_of(cipher);
    s.close();
    t.close();
    co_await s.wait_closed();
    co_await t.wait_closed();
  });
  std::size_t versions = 0;
  std::size_t ciphers = 0;
  for (const auto& r : reports()) {
    versions += has_code(r.error, h::tls_errc::no_common_version);
    ciphers += has_code(r.error, h::tls_errc::no_common_cipher);
  }
  EQUAL(versions, reactors().size());
  EQUAL(ciphers, reactors().size());
  h::tls_options bad;
  bad.ciphers_1_3 = "no such cipher";
  THROWS(h::bad_value, h::tls_context::client(bad));
  const auto other = support::self_signed({});
  THROWS(h::bad_value, h::tls_context::server(support::localhost().certificate, other.key));
  THROWS(std::system_error, h::tls_context::server("/no/such/chain.pem", "/no/such/key.pem"));
}

}  // namespace
