// SPDX-License-Identifier: MIT
// TLS of the client: certificates of its own, authorities, what a hello says, connections cut off.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/server.h>
#include <heddle/io/tls.h>
#include <heddle/sched/sleep.h>

#include <support/certificates.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <sys/socket.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_TLS_OWN);

std::string port_text(std::uint16_t port) { return ":" + std::to_string(port); }

/// A file that goes at the end.
class kept_file {
 public:
  explicit kept_file(const std::string& text) : path_(support::temporary_file(text)) {}
  kept_file(const kept_file&) = delete;
  ~kept_file() { std::filesystem::remove(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

const support::authority& own_ca() {
  static const support::authority one("CN=Own");
  return one;
}

/// A server that wants certificates of clients, and tells whose it has got.
std::unique_ptr<http::server> strict_server() {
  const auto id = own_ca().issue({.names = {"localhost"}});
  h::tls_server_options t;
  t.certificate = id.certificate;
  t.key = id.key;
  t.client_certificate = h::tls_client_certificate::required;
  t.client_ca = own_ca().certificate();
  http::server_options o;
  o.tls = h::tls_context::server(t);
  auto s = std::make_unique<http::server>(o);
  s->get("/", [](http::request&) { return http::response::text("welcome"); });
  return s;
}

support::identity client_identity() {
  support::wish w;
  w.common_name = "client";
  w.purpose = "clientAuth";
  return own_ca().issue(w);
}

h::tls_options trusting() {
  h::tls_options t;
  t.ca = own_ca().certificate();
  return t;
}

h::task<std::string> get_with(h::tls_options t, std::uint16_t port) {
  http::session_options o;
  o.tls = h::tls_context::client(t);
  http::session client(o);
  auto getting = client.get("https://localhost" + port_text(port) + "/");
  const auto r = co_await getting;
  co_return r.body;
}

TEST_P(HTTP_CLI_TLS_OWN, HTTP_CLI_TLS_06_AClientShowsItsCertificateFromPemOrPkcs12) {
  run([]() -> h::task<> {
    auto s = strict_server();
    co_await s->start("127.0.0.1", 0);
    const auto id = client_identity();
    const kept_file p12(support::pkcs12(id, "word"));
    const kept_file open_p12(support::pkcs12(id, ""));
    const kept_file certificate(id.certificate);
    const kept_file key(support::encrypted(id.key, "word"));
    const std::array<std::array<std::string, 3>, 5> ways{{{id.certificate, id.key, ""},
                                                          {certificate.path(), id.key, "unused"},
                                                          {id.certificate, key.path(), "word"},
                                                          {p12.path(), "", "word"},
                                                          {open_p12.path(), "", ""}}};
    for (const auto& way : ways) {
      auto t = trusting();
      t.certificate = way[0];
      t.key = way[1];
      t.passphrase = way[2];
      const std::string got = co_await get_with(t, s->port());
      EQUAL(got, "welcome");
    }
    const auto without = co_await error_of(get_with(trusting(), s->port()));
    HOLDS(is_a<std::system_error>(without));
    co_await s->stop();
  });
}

/// What making a context says.
std::string told_by(const h::tls_options& t) {
  try {
    (void)h::tls_context::client(t);
    return "";
  } catch (const h::bad_value& e) { return e.what(); }
}

TEST_P(HTTP_CLI_TLS_OWN, HTTP_CLI_TLS_06_AWrongPassphraseIsAnErrorWhenTheContextIsMade) {
  const auto id = client_identity();
  const kept_file p12(support::pkcs12(id, "word"));
  const kept_file nonsense("\x30\x82 nonsense");
  h::tls_options t;
  t.certificate = id.certificate;
  t.key = support::encrypted(id.key, "word");
  t.passphrase = "wrong";
  HOLDS(told_by(t).find("the passphrase does not open the client's key") == 0) << told_by(t);
  t.passphrase = "";
  HOLDS(told_by(t).find("no passphrase was given") != std::string::npos) << told_by(t);
  t.key = "";
  t.certificate = p12.path();
  HOLDS(told_by(t).find(p12.path()) != std::string::npos) << told_by(t);
  HOLDS(told_by(t).find("no passphrase was given") != std::string::npos) << told_by(t);
  t.passphrase = "wrong";
  HOLDS(told_by(t).find("the passphrase does not open") == 0) << told_by(t);
  t.passphrase = "word";
  EQUAL(told_by(t), "");
  t.key = id.key;
  HOLDS(told_by(t).find("brings its key") != std::string::npos) << told_by(t);
  t.key = "";
  t.certificate = nonsense.path();
  HOLDS(told_by(t).find("neither PEM nor PKCS 12") != std::string::npos) << told_by(t);
}

TEST_P(HTTP_CLI_TLS_OWN, HTTP_CLI_TLS_06_AServerTakesThemToo) {
  run([]() -> h::task<> {
    const auto id = own_ca().issue({.names = {"localhost"}});
    const kept_file p12(support::pkcs12(id, "word"));
    h::tls_server_options t;
    t.certificate = p12.path();
    t.passphrase = "word";
    http::server_options o;
    o.tls = h::tls_context::server(t);
    http::server s(o);
    s.get("/", [](http::request&) { return http::response::text("x"); });
    co_await s.start("127.0.0.1", 0);
    const std::string got = co_await get_with(trusting(), s.port());
    EQUAL(got, "x");
    co_await s.stop();
  });
}

/// A plain https server of own_ca().
std::unique_ptr<http::server> secure_server() {
  const auto id = own_ca().issue({.names = {"localhost"}});
  http::server_options o;
  o.tls = h::tls_context::server(id.certificate, id.key);
  auto s = std::make_unique<http::server>(o);
  s->get("/", [](http::request&) { return http::response::text("x"); });
  return s;
}

TEST_P(HTTP_CLI_TLS_OWN, HTTP_CLI_TLS_06_AuthoritiesComeFromAFileOrADirectory) {
  run([]() -> h::task<> {
    auto s = secure_server();
    co_await s->start("127.0.0.1", 0);
    const support::authority other("CN=Other");
    std::string directory = std::filesystem::temp_directory_path() / "heddle-ca-XXXXXX";
    HOLDS(::mkdtemp(directory.data()) != nullptr);
    const std::filesystem::path in(directory);
    std::filesystem::copy_file(kept_file("no certificate").path(), in / "README");
    std::filesystem::copy_file(kept_file(other.certificate()).path(), in / "a.pem");
    h::tls_options t;
    t.ca = directory;
    const auto unknown = co_await error_of(get_with(t, s->port()));
    HOLDS(is_a<h::certificate_error>(unknown));
    std::filesystem::copy_file(kept_file(own_ca().certificate()).path(), in / "b.crt");
    const std::string got = co_await get_with(t, s->port());
    EQUAL(got, "x");
    const kept_file file(own_ca().certificate());
    t.ca = file.path();
    const std::string by_file = co_await get_with(t, s->port());
    EQUAL(by_file, "x");
    std::filesystem::remove_all(in);
    std::filesystem::create_directory(in);
    t.ca = directory;
    HOLDS(told_by(t).find("there is no certificate in the directory") != std::string::npos);
    std::filesystem::remove_all(in);
    co_await s->stop();
  });
}

TEST_P(HTTP_CLI_TLS_OWN, HTTP_CLI_TLS_06_TheEnvironmentNamesAuthorities) {
  const kept_file file(own_ca().certificate());
  ::setenv("SSL_CERT_FILE", file.path().c_str(), 1);  // no other thread runs yet
  run([]() -> h::task<> {
    auto s = secure_server();
    co_await s->start("127.0.0.1", 0);
    const std::string got = co_await get_with(h::tls_options(), s->port());
    EQUAL(got, "x");
    co_await s->stop();
  });
  ::unsetenv("SSL_CERT_FILE");
  run([]() -> h::task<> {
    auto s = secure_server();
    co_await s->start("127.0.0.1", 0);
    const auto error = co_await error_of(get_with(h::tls_options(), s->port()));
    HOLDS(is_a<h::certificate_error>(error));
    co_await s->stop();
  });
}

h::task<> note_hello(h::connection c, std::shared_ptr<journal> hello) {
  try {
    (void)co_await c.reader.fill();
    hello->add(std::string(c.reader.buffered()));
  } catch (const std::system_error&) {}
  c.writer.close();
}

TEST_P(HTTP_CLI_TLS_OWN, HTTP_CLI_TLS_07_AHelloOffersHttp11AndNoOldVersion) {
  run([]() -> h::task<> {
    auto hello = std::make_shared<journal>();
    auto take = [hello](h::connection c) { return note_hello(std::move(c), hello); };
    auto starting = h::start_server(take, "127.0.0.1", 0);
    h::server s = co_await starting;
    const std::string url = "https://localhost" + port_text(s.port()) + "/";
    http::session usual;
    const auto usual_error = co_await error_of(usual.get(url));
    HOLDS(is_a<h::tls_error>(usual_error)) << what_of(usual_error);
    http::session_options o;
    o.tls = h::tls_context::client(trusting());
    http::session own(o);
    const auto own_error = co_await error_of(own.get(url));
    HOLDS(is_a<h::tls_error>(own_error)) << what_of(own_error);
    auto t = trusting();
    t.alpn = {"h2"};
    o.tls = h::tls_context::client(t);
    http::session other(o);
    const auto other_error = co_await error_of(other.get(url));
    HOLDS(is_a<h::tls_error>(other_error)) << what_of(other_error);
    s.close();
    co_await s.wait_closed();
    const auto all = hello->lines();
    EQUAL(all.size(), 3u);
    const std::string versions("\x00\x2b\x00\x05\x04\x03\x04\x03\x03", 9);  // TLS 1.3 and 1.2
    const std::string http_11("\x00\x09\x08http/1.1", 11);
    for (std::size_t i = 0; i < 3; ++i) {
      HOLDS(all[i].find(versions) != std::string::npos);
      EQUAL(all[i].find(http_11) != std::string::npos, i < 2);
    }
    HOLDS(all[2].find(std::string("\x00\x03\x02h2", 5)) != std::string::npos);
  });
}

h::task<> note_agreed(h::connection c, std::shared_ptr<journal> agreed) {
  try {
    (void)co_await c.reader.read_until("\r\n\r\n");
    agreed->add(c.writer.tls().alpn + " " + c.writer.tls().version);
    c.writer.write(ok("x", "Connection: close\r\n"));
  } catch (const std::system_error&) {
  } catch (const h::incomplete_read_error&) {}
  c.writer.close();
}

TEST_P(HTTP_CLI_TLS_OWN, HTTP_CLI_TLS_07_WhatIsAgreedOnIsHttp11) {
  run([]() -> h::task<> {
    auto agreed = std::make_shared<journal>();
    const auto id = own_ca().issue({.names = {"localhost"}});
    h::tls_server_options t;
    t.certificate = id.certificate;
    t.key = id.key;
    t.alpn = {"h2", "http/1.1"};
    h::server_options o;
    o.tls = h::tls_context::server(t);
    auto take = [agreed](h::connection c) { return note_agreed(std::move(c), agreed); };
    auto starting = h::start_server(take, "127.0.0.1", 0, o);
    h::server s = co_await starting;
    const std::string got = co_await get_with(trusting(), s.port());
    EQUAL(got, "x");
    EQUAL(agreed->joined(), "http/1.1 TLSv1.3");
    s.close();
    co_await s.wait_closed();
  });
}

/// Answers with `text`, and ends the connection without a word of TLS.
h::task<> cut_off(h::connection c, std::string text) {
  try {
    (void)co_await c.reader.read_until("\r\n\r\n");
    c.writer.write(text);
    while (c.writer.buffered() != 0) co_await h::sleep(std::chrono::milliseconds(1));
    (void)::shutdown(c.writer.native_handle(), SHUT_WR);
    while (co_await c.reader.fill()) c.reader.consume(c.reader.buffered().size());
  } catch (const std::system_error&) {
  } catch (const h::incomplete_read_error&) {}
  c.writer.abort();
}

h::task<h::server> start_cutting(std::string text) {
  const auto id = own_ca().issue({.names = {"localhost"}});
  h::server_options o;
  o.tls = h::tls_context::server(id.certificate, id.key);
  auto take = [text](h::connection c) { return cut_off(std::move(c), text); };
  auto starting = h::start_server(take, "127.0.0.1", 0, o);
  h::server s = co_await starting;
  co_return s;
}

h::task<> read_into(http::body_reader& from, std::string& to) {
  for (;;) {
    auto next = from.next_chunk();
    const auto piece = co_await next;
    if (!piece) break;
    to += *piece;
  }
}

TEST_P(HTTP_CLI_TLS_OWN, HTTP_CLI_TLS_08_AnEndWithoutAWordIsATruncation) {
  run([]() -> h::task<> {
    for (const bool has_length : {true, false}) {
      const std::string text = has_length ? ok("whole") : "HTTP/1.1 200 OK\r\n\r\nwho knows";
      auto starting = start_cutting(text);
      h::server s = co_await starting;
      http::session_options o;
      o.tls = h::tls_context::client(trusting());
      http::session client(o);
      const std::string url = "https://localhost" + port_text(s.port()) + "/";
      if (has_length) {
        auto getting = client.get(url);
        const auto r = co_await getting;
        EQUAL(r.body, "whole");
      } else {
        const auto error = co_await error_of(client.get(url));
        HOLDS(is_a<http::payload_error>(error)) << what_of(error);
        auto opening = client.at(url).open();
        auto stream = co_await opening;
        std::string all;
        const auto cut = co_await error_of(read_into(stream.body, all));
        HOLDS(is_a<http::payload_error>(cut)) << what_of(cut);
        EQUAL(all, "who knows");
      }
      client.close_kept();
      s.close();
      s.abort_clients();
      co_await s.wait_closed();
    }
  });
}

}  // namespace
}  // namespace conformance
