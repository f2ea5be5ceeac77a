// SPDX-License-Identifier: MIT
// Where the client connects to: names, TLS, and users in URLs.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/server.h>
#include <heddle/io/resolver.h>
#include <heddle/io/tls.h>

#include <support/certificates.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_DNS);
REACTOR_CASES(HTTP_CLI_TLS);
REACTOR_CASES(HTTP_CLI_AUT_SESSION);

std::string port_text(std::uint16_t port) { return ":" + std::to_string(port); }

TEST_P(HTTP_CLI_DNS, HTTP_CLI_DNS_06_AFailureToConnectNamesEachAddressWithItsReason) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("x"); });
    co_await p.start();
    const std::string port = port_text(p.port());
    co_await p.stop();
    h::set_resolver([](const h::name_query& q) {
      h::name_answer a;
      for (const char* text : {"127.0.0.1", "127.0.0.2"})
        a.addresses.push_back(h::address::ip(text, q.port));
      return a;
    });
    http::session client;
    const auto error = co_await error_of(client.get("http://two.test" + port + "/"));
    HOLDS(is_a<http::connect_error>(error));
    const std::string what = what_of(error);
    for (const std::string& part : {"two.test" + port, "127.0.0.1" + port, "127.0.0.2" + port})
      HOLDS(what.find(part) != std::string::npos);
    h::reset_resolver();
  });
}

TEST_P(HTTP_CLI_DNS, HTTP_CLI_DNS_08_AFixedNameLeadsElsewhereAndTheHostStays) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) { return ok(*r.headers.get("host")); });
    co_await p.start();
    http::session_options o;
    o.fixed_names["whole.test"] = "127.0.0.1" + port_text(p.port());
    o.fixed_names["name.test"] = "127.0.0.1";
    http::session client(o);
    const auto whole = co_await client.get("http://whole.test/");
    EQUAL(whole.body, "whole.test");
    const auto name = co_await client.get("http://name.test" + port_text(p.port()) + "/");
    EQUAL(name.body, "name.test" + port_text(p.port()));
    EQUAL(p.connections(), 2);
    co_await p.stop();
  });
}

/// A server with that certificate.
std::unique_ptr<http::server> secure_server(const support::identity& id) {
  http::server_options o;
  o.tls = h::tls_context::server(id.certificate, id.key);
  auto s = std::make_unique<http::server>(o);
  s->get("/", [](http::request&) { return http::response::text("secret"); });
  return s;
}

h::tls_context trusting(const std::string& ca) {
  h::tls_options t;
  t.ca = ca;
  return h::tls_context::client(t);
}

TEST_P(HTTP_CLI_TLS, HTTP_CLI_TLS_01_WhatCannotBeTrustedIsNamedAndNothingWasSent) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    const support::wish expired{.names = {"localhost"}, .begins_in = -7200, .ends_in = -3600};
    const std::vector<support::identity> all{ca.issue(expired),
                                             support::self_signed({.names = {"localhost"}}),
                                             ca.issue({.names = {"other.test"}})};
    for (const auto& id : all) {
      auto s = secure_server(id);
      co_await s->start("127.0.0.1", 0);
      http::session_options o;
      o.tls = trusting(ca.certificate());
      http::session client(o);
      const auto error = co_await error_of(client.get("https://localhost" + port_text(s->port())));
      const auto host = told<h::certificate_error>(error, [](const auto& e) { return e.host(); });
      EQUAL(host, "localhost");
      EQUAL(s->stats().requests, 0u);
      EQUAL(client.open_connections(), 0u);
      co_await s->stop();
    }
  });
}

TEST_P(HTTP_CLI_TLS, HTTP_CLI_TLS_02_AnUncheckedConnectionIsNotForCheckedRequests) {
  run([]() -> h::task<> {
    auto s = secure_server(support::self_signed({.names = {"localhost"}}));
    co_await s->start("127.0.0.1", 0);
    http::session client;
    const std::string url = "https://localhost" + port_text(s->port()) + "/";
    h::tls_options t;
    t.verify = h::tls_verify::insecure_none;
    const h::tls_context unchecked = h::tls_context::client(t);
    for (int i = 0; i < 2; ++i) {
      const auto r = co_await client.at(url).tls(unchecked).get();
      EQUAL(r.body, "secret");
    }
    EQUAL(s->stats().connections, 1u);
    const auto error = co_await error_of(client.get(url));
    HOLDS(is_a<h::certificate_error>(error));
    client.close_kept();
    co_await s->stop();
  });
}

TEST_P(HTTP_CLI_TLS, HTTP_CLI_TLS_04_TheNameThatIsAskedForCanBeAnother) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    auto s = secure_server(ca.issue({.names = {"only.test"}}));
    co_await s->start("127.0.0.1", 0);
    http::session_options o;
    o.tls = trusting(ca.certificate());
    http::session client(o);
    const std::string url = "https://127.0.0.1" + port_text(s->port()) + "/";
    const auto r = co_await client.at(url).server_name("only.test").get();
    EQUAL(r.body, "secret");
    EQUAL(client.kept_connections(), 1u);
    const auto error = co_await error_of(client.get(url));  // not over that connection
    HOLDS(is_a<h::certificate_error>(error));
    client.close_kept();
    co_await s->stop();
  });
}

TEST_P(HTTP_CLI_TLS, HTTP_CLI_TLS_05_AnAddressIsCheckedAgainstAddresses) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    for (const bool has : {true, false}) {
      support::wish w{.names = {"127.0.0.1"}};
      if (has) w.addresses = {"127.0.0.1"};
      auto s = secure_server(ca.issue(w));
      co_await s->start("127.0.0.1", 0);
      http::session_options o;
      o.tls = trusting(ca.certificate());
      http::session client(o);
      const auto error = co_await error_of(client.get("https://127.0.0.1" + port_text(s->port())));
      EQUAL(!error, has);
      client.close_kept();
      co_await s->stop();
    }
  });
}

TEST_P(HTTP_CLI_AUT_SESSION, HTTP_CLI_AUT_02_AUserInTheUrlIsSentAndNeverShown) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return r.target == "/bad" ? std::string("!nonsense\r\n\r\n")
                                : ok(std::string(r.headers.get("authorization").value_or("none")) +
                                     " " + std::string(*r.headers.get("host")));
    });
    co_await p.start();
    http::session client;
    const auto with_user = [&](std::string_view path) {
      std::string url = p.url(path);
      return url.insert(7, "user:p%40ss@");
    };
    const auto r = co_await client.get(with_user("/"));
    EQUAL(r.body, "Basic dXNlcjpwQHNz 127.0.0.1" + port_text(p.port()));
    EQUAL(r.url, p.url("/"));
    const auto bad = co_await error_of(client.at(with_user("/bad")).get());
    EQUAL(what_of(bad).find("p%40ss"), std::string::npos);
    EQUAL(what_of(bad).find("user"), std::string::npos);
    auto both = client.at(with_user("/"));
    both.header("Authorization", "mine");
    THROWS(h::bad_value, both.get());
    http::request_options o;
    o.headers.add("Authorization", "mine");
    THROWS(h::bad_value, client.get(with_user("/"), o));
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
