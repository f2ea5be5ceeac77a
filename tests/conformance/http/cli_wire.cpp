// SPDX-License-Identifier: MIT
// Cookies, credentials and content codings as a session sends and takes them.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/json.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_WIRE);

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_RED_14_ACookieOfARedirectionIsKeptAndSentToTheNextHop) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/a")
        return std::string(
            "HTTP/1.1 302 x\r\nLocation: /b\r\nSet-Cookie: sid=1; Path=/\r\nContent-Length: "
            "0\r\n\r\n");
      return ok(r.headers.get("cookie").value_or("none"), "Set-Cookie: own=2; Path=/\r\n");
    });
    co_await p.start();
    http::session_options o;
    o.cookies = http::cookie_jar();
    http::session client(o);
    const auto r = co_await client.get(p.url("/a"));
    EQUAL(r.body, "sid=1");
    EQUAL(r.headers.all("set-cookie").size(), 1u);
    const auto next = co_await client.at(p.url("/c")).cookie("mine", "3").get();
    EQUAL(next.body, "mine=3; sid=1; own=2");
    const auto after = co_await client.get(p.url("/c"));
    EQUAL(after.body, "sid=1; own=2");
    EQUAL(o.cookies->size(), 2u);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_CMP_01_CodingsAreAskedForUnlessTheCallerDoes) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return ok(r.headers.get("accept-encoding").value_or("none"));
    });
    co_await p.start();
    http::session client;
    const auto usual = co_await client.at(p.url("/")).get();
    EQUAL(usual.body, http::known_codings());
    const auto own = co_await client.at(p.url("/")).header("Accept-Encoding", "x").get();
    EQUAL(own.body, "x");
    auto skipped = client.at(p.url("/"));
    skipped.skip_auto_headers({"Accept-Encoding"});
    const auto none = co_await skipped.get();
    EQUAL(none.body, "none");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_CMP_02_ABodyIsDecodedWholeAndStreamed) {
  run([]() -> h::task<> {
    const std::string text(200'000, 't');
    for (const auto how : {http::coding::gzip, http::coding::deflate}) {
      const std::string packed = http::encoded(how, text);
      const std::string field = "Content-Encoding: " + std::string(http::name_of(how)) + "\r\n";
      peer p([packed, field](const http::request&, int) { return ok(packed, field); });
      co_await p.start();
      http::session client;
      const auto whole = co_await client.at(p.url("/")).get();
      HOLDS(whole.body == text);
      EQUAL(whole.headers.get("content-encoding"), http::name_of(how));
      auto streamed = co_await client.at(p.url("/")).open();
      const std::string all = co_await read_pieces(streamed.body);
      HOLDS(all == text);
      EQUAL(client.kept_connections(), 1u);
      const auto raw = co_await client.get(p.url("/"));  // the short verbs yield what comes
      HOLDS(raw.body == packed);
      co_await p.stop();
    }
  });
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_CMP_05_AnUnknownCodingAndNoDecodingLeaveTheBodyAsItIs) {
  run([]() -> h::task<> {
    const std::string packed = http::encoded(http::coding::gzip, "text");
    peer p([packed](const http::request& r, int) {
      if (r.target == "/unknown") return ok("coded", "Content-Encoding: lzma\r\n");
      return ok(packed, "Content-Encoding: gzip\r\n");
    });
    co_await p.start();
    http::session client;
    const auto unknown = co_await client.at(p.url("/unknown")).get();
    EQUAL(unknown.body, "coded");
    EQUAL(unknown.headers.get("content-encoding"), "lzma");
    http::session_options o;
    o.decompress = false;
    http::session off(o);
    const auto raw = co_await off.at(p.url("/")).get();
    HOLDS(raw.body == packed);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_CMP_07_ACodedBodyThatIsCutOffOrTooLargeIsAnError) {
  run([]() -> h::task<> {
    const std::string packed = http::encoded(http::coding::gzip, std::string(100'000, 't'));
    peer p([packed](const http::request& r, int) {
      const auto n = r.target == "/cut" ? packed.size() - 9 : packed.size();
      return ok(packed.substr(0, n), "Content-Encoding: gzip\r\n");
    });
    co_await p.start();
    http::session_options o;
    o.limits.body_bytes = 99'999;
    http::session client(o);
    const auto cut = co_await error_of(client.at(p.url("/cut")).get());
    HOLDS(is_a<http::payload_error>(cut));
    const auto large = co_await error_of(client.at(p.url("/large")).get());
    HOLDS(is_a<http::payload_error>(large));
    HOLDS(what_of(large).find("limits::body_bytes") != std::string::npos);
    auto r = co_await client.at(p.url("/cut")).open();
    const auto streamed = co_await error_of(r.body.read_all());
    HOLDS(is_a<http::payload_error>(streamed));
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_BUP_11_ABodyIsCodedWhileItIsSent) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return ok(std::string(r.headers.get("content-encoding").value_or("none")) + " " +
                std::string(r.headers.get("transfer-encoding").value_or("whole")) + " " + r.body);
    });
    co_await p.start();
    http::session client;
    const std::string text(100'000, 't');
    for (const auto how : {http::coding::gzip, http::coding::deflate}) {
      const auto r = co_await client.at(p.url("/")).text(text).compress(how).post();
      const std::string head = std::string(http::name_of(how)) + " chunked ";
      HOLDS(r.body.starts_with(head));
      auto plain = http::decoded(http::body_reader(r.body.substr(head.size())), http::name_of(how));
      const std::string all = co_await plain.read_all();
      HOLDS(all == text);
    }
    auto twice = client.at(p.url("/"));
    twice.text("x").header("Content-Encoding", "br").compress(http::coding::gzip);
    THROWS(h::bad_value, twice.post());
    const auto none = co_await client.at(p.url("/")).compress(http::coding::gzip).get();
    EQUAL(none.body, "none whole ");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_BDN_01_ABodyIsUtf8WhateverItsCharset) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/latin") return ok("\xE9", "Content-Type: text/plain; charset=latin-1\r\n");
      if (r.target == "/mark") return ok("\xEF\xBB\xBFx", "Content-Type: text/plain\r\n");
      return ok("\xE9", "Content-Type: text/plain; charset=utf-8\r\n");
    });
    co_await p.start();
    http::session client;
    const auto latin = co_await client.get(p.url("/latin"));
    EQUAL(latin.utf8(), "\xC3\xA9");
    const auto mark = co_await client.get(p.url("/mark"));
    EQUAL(mark.utf8(), "x");
    const auto bad = co_await client.get(p.url("/bad"));
    THROWS(http::payload_error, bad.utf8());
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_BDN_04_AnAnswerIsATypeOfTheProgram) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("[1,2,\"x\"]"); });
    co_await p.start();
    http::session client;
    const auto r = co_await client.get(p.url("/"));
    EQUAL(r.json<nlohmann::json>().size(), 3u);
    THROWS(http::payload_error, r.json<std::vector<int>>());
    co_await p.stop();
  });
}

std::string authorization_back(const http::request& r, int) {
  return ok(r.headers.get("authorization").value_or("none"));
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_AUT_03_ABearerIsAskedForEachRequest) {
  run([]() -> h::task<> {
    peer p(authorization_back);
    co_await p.start();
    auto count = std::make_shared<std::atomic<int>>(0);
    http::session_options o;
    o.auth = http::bearer([count] { return "t" + std::to_string(++*count); });
    http::session client(o);
    const auto one = co_await client.get(p.url("/"));
    const auto two = co_await client.at(p.url("/")).get();
    EQUAL(one.body + " " + two.body, "Bearer t1 Bearer t2");
    const auto own = co_await client.at(p.url("/")).header("Authorization", "mine").get();
    EQUAL(own.body, "mine");
    const auto other = co_await client.at(p.url("/")).auth(http::basic("u", "p")).get();
    EQUAL(other.body, "Basic dTpw");
    const http::auth nobody;
    const auto none = co_await client.at(p.url("/")).auth(nobody).get();
    EQUAL(none.body, "none");
    co_await p.stop();
  });
}

constexpr const char* challenge =
    "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"r\", Digest realm=\"r\", nonce=\"n1\", "
    "qop=\"auth\", algorithm=SHA-256\r\nContent-Length: 4\r\n\r\nwhy?";

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_AUT_05_ADigestAnswersA401AndCountsOn) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      const auto shown = r.headers.get("authorization");
      if (!shown) return std::string(challenge);
      const auto at = shown->find("nc=");
      return ok(std::string(shown->substr(0, 6)) + " " + std::string(shown->substr(at, 11)) + " " +
                (shown->find("uri=\"/a%2Fb?c\"") != shown->npos ? "uri" : "?") + " " + r.body);
    });
    co_await p.start();
    http::session_options o;
    o.auth = http::digest("user", "secret");
    http::session client(o);
    const auto first = co_await client.at(p.url("/a%2Fb?c")).text("body").post();
    EQUAL(first.body, "Digest nc=00000001 uri body");
    const auto second = co_await client.get(p.url("/a%2Fb?c"));
    EQUAL(second.body, "Digest nc=00000002 uri ");
    EQUAL(p.seen(), "POST /a%2Fb?c body|POST /a%2Fb?c body|GET /a%2Fb?c");
    EQUAL(p.connections(), 1);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_WIRE, HTTP_CLI_AUT_07_ASecond401IsTheAnswer) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/basic")
        return std::string(
            "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"r\"\r\nContent-Length: "
            "4\r\n\r\nwhy?");
      return std::string(challenge);
    });
    co_await p.start();
    http::session_options o;
    o.auth = http::digest("user", "wrong");
    http::session client(o);
    const auto r = co_await client.get(p.url("/"));
    EQUAL(r.status, 401);
    EQUAL(r.body, "why?");
    EQUAL(p.seen(), "GET /|GET /");
    const auto other = co_await client.get(p.url("/basic"));
    EQUAL(other.status, 401);
    EQUAL(other.body, "why?");
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
