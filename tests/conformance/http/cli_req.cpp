// SPDX-License-Identifier: MIT
// What a request looks like on the wire.
#include "client_cases.h"

#include <heddle/core/errors.h>

#include <nlohmann/json.hpp>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_REQ);

/// A client that sends no field by itself.
http::session plain_client() {
  http::session_options o;
  o.decompress = false;
  return http::session(o);
}

/// The fields that came, "name: value" joined by "|".
std::string fields_back(const http::request& r, int) {
  std::string all;
  for (const auto f : r.headers)
    if (f.name != "Host")
      all += (all.empty() ? "" : "|") + std::string(f.name) + ": " + std::string(f.value);
  return ok(all);
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_03_FieldsThatAreSkippedAreNotSent) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    http::session_options o;
    o.headers.add("User-Agent", "mine");
    o.decompress = false;
    http::session client(o);
    auto asked = client.at(p.url("/"));
    asked.body("bytes").skip_auto_headers({"User-Agent", "Content-Type"});
    const auto r = co_await asked.post();
    EQUAL(r.body, "Content-Length: 5");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_04_OnlyMethodsThatUsuallyHaveABodySayThatItIsEmpty) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    http::session client = plain_client();
    for (const auto m : {http::method::post, http::method::put, http::method::patch}) {
      const auto r = co_await client.request(m, p.url("/"));
      EQUAL(r.body, "Content-Length: 0");
    }
    for (const auto m : {http::method::get, http::method::options, http::method::delete_}) {
      const auto r = co_await client.at(p.url("/")).request(m);
      EQUAL(r.body, "");
    }
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_05_EachKindOfBodyHasItsType) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    http::session client = plain_client();
    const auto text = co_await client.at(p.url("/")).text("x").post();
    EQUAL(text.body, "Content-Type: text/plain; charset=utf-8|Content-Length: 1");
    const auto bytes = co_await client.at(p.url("/")).body("x").post();
    EQUAL(bytes.body, "Content-Type: application/octet-stream|Content-Length: 1");
    const nlohmann::json value = {{"a", 1}};
    const auto json = co_await client.at(p.url("/")).json(value).post();
    EQUAL(json.body, "Content-Type: application/json|Content-Length: 7");
    http::form fields;
    fields.add("a", "1");
    const auto form = co_await client.at(p.url("/")).form(fields).post();
    EQUAL(form.body, "Content-Type: application/x-www-form-urlencoded|Content-Length: 3");
    http::multipart parts("b");
    parts.text("a", "1");
    const auto many = co_await client.at(p.url("/")).multipart(parts).post();
    HOLDS(many.body.starts_with("Content-Type: multipart/form-data; boundary=b|"));
    HOLDS(many.body.find("Content-Length: ") != std::string::npos);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_06_TheCallersTypeGoesOutOnce) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    http::session client = plain_client();
    const auto r =
        co_await client.at(p.url("/")).header("cOntent-tYpe", "x/y").json_text("1").post();
    EQUAL(r.body, "cOntent-tYpe: x/y|Content-Length: 1");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_07_ASecondBodyIsAMistake) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    http::session client = plain_client();
    auto asked = client.at(p.url("/"));
    asked.json_text("{}");
    THROWS(h::usage_error, asked.text("x"));
    THROWS(h::usage_error, asked.body(http::upload::text("x")));
    const auto r = co_await asked.post();
    HOLDS(r.ok());
    THROWS(h::usage_error, asked.get());
    EQUAL(p.seen(), "POST / {}");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_08_WhatCouldEndALineIsRefused) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    http::session client = plain_client();
    auto asked = client.at(p.url("/"));
    for (const char* value : {"a\rb", "a\nb", "a\x7f", "a\x01"})
      THROWS(h::bad_value, asked.header("X", value));
    THROWS(h::bad_value, asked.header("X", std::string_view("a\0b", 3)));
    for (const char* name : {"", "a b", "a:", "\xC3\xA9"})
      THROWS(h::bad_value, asked.header(name, "v"));
    THROWS(h::bad_value, asked.cookie("a b", "v"));
    THROWS(h::bad_value, asked.cookie("a", "v; c=d"));
    const auto r = co_await asked.header("X", "a\tb").get();
    EQUAL(r.body, "X: a\tb");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_09_FramingThatDisagreesWithTheBodyIsRefused) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    http::session client = plain_client();
    for (const auto& [name, value] : {std::pair{"Content-Length", "5"},
                                      {"Content-Length", "x"},
                                      {"Transfer-Encoding", "chunked"}}) {
      auto asked = client.at(p.url("/"));
      asked.header(name, value).body("7 bytes");
      THROWS(h::bad_value, asked.post());
    }
    const auto r =
        co_await client.at(p.url("/")).header("Content-Length", "7").text("7 bytes").post();
    EQUAL(r.body, "Content-Type: text/plain; charset=utf-8|Content-Length: 7");
    EQUAL(p.seen(), "POST / 7 bytes");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_10_HostComesOnceAndFirst) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return ok(std::string(r.headers[0].name) + " " + std::string(r.headers[0].value) + " " +
                std::to_string(r.headers.all("host").size()));
    });
    co_await p.start();
    http::session client = plain_client();
    const auto own = co_await client.at(p.url("/")).header("A", "b").header("host", "mine").get();
    EQUAL(own.body, "Host mine 1");
    const auto usual = co_await client.at(p.url("/")).header("A", "b").get();
    EQUAL(usual.body, "Host 127.0.0.1:" + std::to_string(p.port()) + " 1");
    EQUAL(http::url::parse("http://[::1]:8080/").authority(), "[::1]:8080");
    EQUAL(http::url::parse("http://h:80/").authority(), "h");
    co_await p.stop();
  });
}

/// Reads a head, then does as the script says about "Expect: 100-continue".
h::task<> expecting(h::connection c, int how, std::shared_ptr<journal> log) {
  const std::string head = co_await c.reader.read_until("\r\n\r\n");
  log->add(head.find("Expect: 100-continue") != std::string::npos ? "asked" : "not-asked");
  if (how == 1) {
    c.writer.write("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    std::string rest;
    try {
      rest = co_await c.reader.read(-1);
    } catch (const std::system_error&) {}  // a reset: the client is not interested
    log->add(rest.empty() ? "no-body" : "body");
    co_return;
  }
  if (how == 0) c.writer.write("HTTP/1.1 100 Continue\r\n\r\n");
  const std::string body = co_await c.reader.read_exactly(1 << 20);
  log->add(std::to_string(body.size()));
  c.writer.write(ok("done"));
  (void)co_await c.reader.read(1);
}

TEST_P(HTTP_CLI_REQ, HTTP_CLI_REQ_11_ABodyWaitsForLeaveAndNeverGoesWithoutIt) {
  run([]() -> h::task<> {
    for (const int how : {0, 1, 2}) {
      auto log = std::make_shared<journal>();
      auto take = [how, log](h::connection c) { return expecting(std::move(c), how, log); };
      auto starting = h::start_server(take, "127.0.0.1", 0);
      h::server s = co_await starting;
      http::session client = plain_client();
      auto asked = client.at("http://127.0.0.1:" + std::to_string(s.port()) + "/");
      asked.body(std::string(1 << 20, 'x')).expect_continue();
      const auto r = co_await asked.post();
      EQUAL(r.status, how == 1 ? 417 : 200);
      EQUAL(client.kept_connections(), how == 1 ? 0u : 1u);
      client.close_kept();
      s.close();
      co_await s.wait_closed();
      EQUAL(log->joined(), how == 1 ? "asked no-body" : "asked 1048576");
    }
  });
}

}  // namespace
}  // namespace conformance
