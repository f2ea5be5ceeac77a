// SPDX-License-Identifier: MIT
// URLs of the client: what goes out is what was given, byte for byte.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/url.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_URL);

std::string target_back(const http::request& r, int) { return ok(r.target); }

/// What arrives for `path`, asked for by a builder.
h::task<std::string> sent_for(http::session& client, const peer& p, std::string path) {
  const auto r = co_await client.at(p.url(path)).get();
  co_return r.body;
}

TEST_P(HTTP_CLI_URL, HTTP_CLI_URL_01_WhatIsEncodedStaysByteForByte) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    for (const char* path : {"/a%2Bb%2fc%28%29?sig=%3D%2B%40&x=(a)%7e+b", "/%41?%61=%62",
                             "/a//b/?&&x", "/~a/b;c=d,e!$'()*?q=a:b@c/d?e"}) {
      const std::string by_builder = co_await sent_for(client, p, path);
      EQUAL(by_builder, path);
      const auto by_verb = co_await client.get(p.url(path));
      EQUAL(by_verb.body, path);
    }
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_URL, HTTP_CLI_URL_02_WhatNoUrlHoldsIsEncoded) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    const std::string some = co_await sent_for(client, p, "/a b\"<c>\xC3\xA9?q=\xE2\x82\xAC |%20");
    EQUAL(some, "/a%20b%22%3Cc%3E%C3%A9?q=%E2%82%AC%20%7C%20");
    const std::string lone = co_await sent_for(client, p, "/100%/%4/%zz/%41");
    EQUAL(lone, "/100%25/%254/%25zz/%41");
    THROWS(h::bad_value, client.at(p.url("/a\r\nX: y")));
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_URL, HTTP_CLI_URL_03_ParametersAreEncodedInOrder) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    auto asked = client.at(p.url("/"));
    asked.query("k", "a b&c=d+\xC3\xA9").query("k", "2").query("n", -7);
    const auto r = co_await asked.get();
    EQUAL(r.body, "/?k=a%20b%26c%3Dd%2B%C3%A9&k=2&n=-7");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_URL, HTTP_CLI_URL_04_ParametersComeBehindAQueryThatIsThere) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    const auto both = co_await client.at(p.url("/?x=1#top")).query("y", 2).get();
    EQUAL(both.body, "/?x=1&y=2");
    EQUAL(both.url, p.url("/?x=1&y=2#top"));
    const auto bare = co_await client.at(p.url("/?")).query("y", 2).get();
    EQUAL(bare.body, "/?y=2");
    const std::string none = co_await sent_for(client, p, "/?x=1");
    EQUAL(none, "/?x=1");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_URL, HTTP_CLI_URL_05_AReadyQueryIsSentAsItIs) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    const auto r = co_await client.at(p.url("/")).raw_query("a=%2B&b=c+d").get();
    EQUAL(r.body, "/?a=%2B&b=c+d");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_URL, HTTP_CLI_URL_06_TargetsBeginWithASlashAndFragmentsStay) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    for (const auto& [path, target] : {std::pair{"", "/"}, {"?x=1", "/?x=1"}, {"/a#frag", "/a"}}) {
      const auto r = co_await client.get(p.url(path));
      EQUAL(r.body, target);
      EQUAL(r.url, p.url(path));
    }
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_URL, HTTP_CLI_URL_08_ReferencesAreJoinedAsRfc3986Says) {
  const auto join = [](std::string_view to) { return http::resolve_url("http://a/b/c/d;p?q", to); };
  EQUAL(http::resolve_url("http://h", "/a/../b/./c"), "http://h/b/c");
  EQUAL(http::resolve_url("http://h/x/y", "%2e%2E/z"), "http://h/z");
  EQUAL(join("g"), "http://a/b/c/g");
  EQUAL(join("./g/"), "http://a/b/c/g/");
  EQUAL(join("?y"), "http://a/b/c/d;p?y");
  EQUAL(join(""), "http://a/b/c/d;p?q");
  EQUAL(join("#s"), "http://a/b/c/d;p?q#s");
  EQUAL(join("//g"), "http://g/");
  EQUAL(join("https://g/x/../y?z"), "https://g/y?z");
  EQUAL(join(".."), "http://a/b/");
  EQUAL(join("../.."), "http://a/");
  EQUAL(join("../../../../g"), "http://a/g");
  EQUAL(join("/./g"), "http://a/g");
  EQUAL(join("g."), "http://a/b/c/g.");
  EQUAL(join("..g"), "http://a/b/c/..g");
  EQUAL(join("g;x=1/../y"), "http://a/b/c/y");
  EQUAL(join("g?y/../x"), "http://a/b/c/g?y/../x");
  EQUAL(join("mailto:a"), "mailto:a");
}

TEST_P(HTTP_CLI_URL, HTTP_CLI_URL_09_OnlyFourDecimalNumbersAreAnAddress) {
  for (const char* host : {"2130706433", "127.1", "0x7f.1", "017700000001", "127.0.0.01",
                           "1.2.3.256", "0x7f000001", "a.1", "127.0.0.1.1"}) {
    const std::string text = "http://" + std::string(host) + "/";
    THROWS(h::bad_value, http::url::parse(text));
  }
  for (const char* host : {"127.0.0.1", "1a", "a.1a", "h", "x0x1", "1.2.3.4"})
    EQUAL(http::url::parse("http://" + std::string(host) + "/").host, host);
}

}  // namespace
}  // namespace conformance
