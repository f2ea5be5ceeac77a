// SPDX-License-Identifier: MIT
#include "pieces.h"

#include <heddle/io/file.h>
#include <heddle/io/http/content/cookie_date.h>
#include <heddle/io/http/content/cookie_store.h>
#include <heddle/io/http/cookie_jar.h>
#include <heddle/io/http/message.h>

#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace conformance;

class HTTP_COOKIES : public cases {};
HEDDLE_AT_LOOPS(HTTP_COOKIES);

http::url at(std::string_view text) { return http::url::parse(text); }
std::string sent(const http::cookie_jar& jar, std::string_view to) { return jar.field_for(at(to)); }
/// What a jar that has this one cookie sends there.
std::string after(std::string_view from, std::string_view set_cookie, std::string_view to) {
  http::cookie_jar jar;
  (void)jar.set(at(from), set_cookie);
  return sent(jar, to);
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_01_WithoutADomainACookieIsForItsHostAlone) {
  constexpr auto from = "http://a.example.com/";
  EQUAL(after(from, "n=1", "http://a.example.com/x"), "n=1");
  EQUAL(after(from, "n=1", "http://example.com/"), "");
  EQUAL(after(from, "n=1", "http://b.a.example.com/"), "");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_02_ADomainIsForAllHostsBelowIt) {
  for (const auto* domain : {"n=1; Domain=example.com", "n=1; domain=.Example.COM"}) {
    EQUAL(after("http://a.example.com/", domain, "http://example.com/"), "n=1");
    EQUAL(after("http://a.example.com/", domain, "http://b.example.com/"), "n=1");
    EQUAL(after("http://a.example.com/", domain, "http://notexample.com/"), "");
  }
  EQUAL(after("http://example.com/", "n=1; Domain=example.com", "http://a.example.com/"), "n=1");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_03_AForeignDomainOrAPublicOneIsRefused) {
  http::cookie_jar_options options;
  options.public_suffixes = [](std::string_view d) { return d == "com" || d == "co.uk"; };
  http::cookie_jar jar(options);
  HOLDS(!jar.set(at("http://a.example.com/"), "n=1; Domain=other.com"));
  HOLDS(!jar.set(at("http://example.com/"), "n=1; Domain=a.example.com"));
  HOLDS(!jar.set(at("http://a.example.com/"), "n=1; Domain=com"));
  HOLDS(!jar.set(at("http://a.co.uk/"), "n=1; Domain=co.uk"));
  HOLDS(!http::cookie_jar().set(at("http://a.example.com/"), "n=1; Domain=com"));
  EQUAL(jar.size(), 0u);
  // A host that is a public suffix itself has cookies of its own, but not for those below it.
  HOLDS(jar.set(at("http://co.uk/"), "n=1; Domain=co.uk"));
  EQUAL(sent(jar, "http://co.uk/"), "n=1");
  EQUAL(sent(jar, "http://a.co.uk/"), "");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_05_ADomainThatEndsWithADotCountsAsNone) {
  for (const auto* domain : {"n=1; Domain=example.com.", "n=1; Domain=", "n=1; Domain"}) {
    EQUAL(after("http://a.example.com/", domain, "http://a.example.com/"), "n=1");
    EQUAL(after("http://a.example.com/", domain, "http://example.com/"), "");
  }
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_06_AddressesHaveCookiesOfTheirOwn) {
  EQUAL(after("http://127.0.0.1/", "n=1", "http://127.0.0.1/"), "n=1");
  EQUAL(after("http://[::1]:81/", "n=1", "http://[::1]/"), "n=1");
  EQUAL(after("http://127.0.0.1/", "n=1; Domain=127.0.0.1", "http://127.0.0.1/"), "n=1");
  EQUAL(after("http://127.0.0.1/", "n=1; Domain=0.0.1", "http://127.0.0.1/"), "");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_08_LongerPathsComeFirstThenOlderCookies) {
  http::cookie_jar jar;
  const auto from = at("http://h.example/a/b/page");
  HOLDS(jar.set(from, "n=root; Path=/"));
  HOLDS(jar.set(from, "m=also; Path=/"));
  HOLDS(jar.set(from, "n=b; Path=/a/b"));
  HOLDS(jar.set(from, "n=a; Path=/a"));
  EQUAL(sent(jar, "http://h.example/a/b?q"), "n=b; n=a; n=root; m=also");
  EQUAL(sent(jar, "http://h.example/ab"), "n=root; m=also");
  EQUAL(after("http://h.example/a/b/page", "d=1", "http://h.example/a/b/c"), "d=1");
  EQUAL(after("http://h.example/a/b/page", "d=1", "http://h.example/a/x"), "");
  EQUAL(after("http://h.example/page", "d=1; Path=relative", "http://h.example/x"), "d=1");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_09_SecureCookiesGoWhereNobodyListens) {
  http::cookie_jar_options options;
  options.trusted_origins = {"http://localhost:8080"};
  http::cookie_jar jar(options);
  HOLDS(jar.set(at("https://example.com/"), "n=1; Secure"));
  EQUAL(sent(jar, "https://example.com/"), "n=1");
  EQUAL(sent(jar, "http://example.com/"), "");
  HOLDS(jar.set(at("http://localhost:8080/"), "l=1; Secure"));
  EQUAL(sent(jar, "http://localhost:8080/"), "l=1");
  EQUAL(sent(jar, "http://localhost:8081/"), "");
  auto socket = at("https://example.com/");
  socket.scheme = "wss";
  EQUAL(jar.field_for(socket), "n=1");
  socket.scheme = "ws";
  EQUAL(jar.field_for(socket), "");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_10_PlainHttpSetsNoSecureCookieAndReplacesNone) {
  http::cookie_jar jar;
  HOLDS(!jar.set(at("http://example.com/"), "n=1; Secure"));
  HOLDS(jar.set(at("https://example.com/"), "n=safe; Secure; Path=/x"));
  HOLDS(!jar.set(at("http://example.com/"), "n=evil; Path=/x/y"));
  HOLDS(!jar.set(at("http://a.example.com/x/"), "n=evil; Domain=example.com"));
  HOLDS(!jar.set(at("http://example.com/"), "n=evil; Path=/x; Max-Age=0"));
  HOLDS(jar.set(at("http://example.com/"), "n=elsewhere; Path=/z"));
  EQUAL(sent(jar, "https://example.com/x"), "n=safe");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_11_PrefixesOfNamesArePromises) {
  http::cookie_jar jar;
  const auto from = at("https://a.example.com/");
  HOLDS(!jar.set(from, "__Secure-n=1"));
  HOLDS(jar.set(from, "__Secure-n=1; Secure"));
  HOLDS(!jar.set(from, "__Host-n=1; Secure; Path=/x"));
  HOLDS(!jar.set(from, "__Host-n=1; Secure"));
  HOLDS(!jar.set(from, "__host-n=1; Secure; Path=/; Domain=example.com"));
  HOLDS(jar.set(from, "__Host-n=1; Secure; Path=/"));
  EQUAL(jar.size(), 2u);
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_13_DatesComeInManyForms) {
  using http::detail::parse_cookie_date;
  constexpr std::time_t then = 784111777;
  for (const auto* text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 +0000", "6/Nov/1994_8:49:37",
        "1994 november 6th 08:49:37.5", "08:49:37 6 nOv 94"})
    HOLDS(parse_cookie_date(text) == then);
  HOLDS(parse_cookie_date("01 Jan 70 00:00:00") == std::time_t{0});
  HOLDS(parse_cookie_date("01 Jan 69 00:00:00") == std::time_t{3124224000});
  for (const auto* text : {"Sun, 32 Jan 2030 08:49:37 GMT", "31 Feb 2030 00:00:00", "", "tomorrow",
                           "0\xd9\xa1 Jan 2030 00:00:00", "1 Jan 1600 00:00:00",
                           "1 Jan 2030 24:00:00", "1 Jan 2030 00:00:0000"})
    HOLDS(!parse_cookie_date(text));
  // A date that cannot be read makes a cookie that lasts as long as the jar.
  EQUAL(after("http://h.example/", "n=1; Expires=32 Jan 1980", "http://h.example/"), "n=1");
  EQUAL(after("http://h.example/", "n=1; Expires=1 Jan 1980 00:00:00", "http://h.example/"), "");
  EQUAL(after("http://h.example/", "n=1; Max-Age=99999999999999999999; Expires=1 Jan 1980 0:0:0",
              "http://h.example/"),
        "n=1");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_14_TheSameCookieAgainReplacesOrDeletesIt) {
  http::cookie_jar jar;
  const auto from = at("http://h.example/");
  HOLDS(jar.set(from, "n=old"));
  HOLDS(jar.set(from, "m=1"));
  HOLDS(jar.set(from, "n=new"));
  EQUAL(sent(jar, "http://h.example/"), "n=new; m=1");
  HOLDS(jar.set(from, "n=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
  EQUAL(sent(jar, "http://h.example/"), "m=1");
  HOLDS(jar.set(from, "m=; Max-Age=-1"));
  EQUAL(jar.size(), 0u);
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_15_ValuesAreSentByteForByte) {
  for (const std::string value :
       {"b==", "{\"k\": \"v w\"}", "\"quoted\"", "a\\\"b", "x y", "a,b", "", "\xc3\xa4", "a\tb"})
    EQUAL(after("http://h.example/", "a= " + value + " ; Path=/", "http://h.example/"),
          "a=" + value);
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_17_ABadCookieIsIgnoredAndTheOthersAreNot) {
  http::cookie_jar jar;
  const auto from = at("http://h.example/");
  HOLDS(!jar.set(from, std::string_view("n=a\0b", 5)));
  HOLDS(!jar.set(from, "n\x01=a"));
  HOLDS(!jar.set(from, "n=a\x7f"));
  HOLDS(!jar.set(from, "n=1; Path=/\x01"));
  HOLDS(!jar.set(from, "no equals sign"));
  HOLDS(!jar.set(from, "=nameless"));
  HOLDS(!jar.set(from, "n=" + std::string(4096, 'x')));
  http::headers answer;
  answer.add("Set-Cookie", "bad");
  answer.add("set-cookie", "good=1");
  jar.set_all(from, answer);
  EQUAL(sent(jar, "http://h.example/"), "good=1");
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_18_OneFieldOfThreeSourcesAndTheCallerWins) {
  EQUAL(http::merge_cookies("a=caller", {{"a", "request"}, {"b", "request"}}, "b=jar; c=1; c=2"),
        "a=caller; b=request; c=1; c=2");
  EQUAL(http::merge_cookies("", {}, ""), "");
  THROWS(h::bad_value, http::merge_cookies("", {{"a", "x; b=y"}}, ""));
  THROWS(h::bad_value, http::merge_cookies("", {{"a b", "x"}}, ""));
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_20_AFileKeepsAllThatIsNotExpired) {
  const auto path =
      (std::filesystem::temp_directory_path() /
       ("heddle-cookies-" + std::to_string(::getpid()) + "-" + std::to_string(loops())))
          .string();
  std::filesystem::remove(path);
  run([path]() -> h::task<> {
    http::cookie_jar jar;
    (void)jar.set(at("https://a.example.com/"), "own=1; Secure; HttpOnly; Max-Age=1000");
    (void)jar.set(at("https://a.example.com/"), "all=x\ty; Domain=example.com");
    const auto here = std::string("https://a.example.com/");
    co_await jar.save(path);
    struct stat s{};
    (void)::stat(path.c_str(), &s);
    EQUAL(s.st_mode & 0777U, 0600U);
    (void)::chmod(path.c_str(), 0640);
    co_await jar.save(path);
    (void)::stat(path.c_str(), &s);
    EQUAL(s.st_mode & 0777U, 0640U);
    http::cookie_jar other;
    co_await other.load(path);
    EQUAL(sent(other, here), "own=1; all=x\ty");
    EQUAL(sent(other, "http://a.example.com/"), "all=x\ty");
    EQUAL(sent(other, "https://example.com/"), "all=x\ty");
    const auto known = other.for_url(at(here));
    HOLDS(known.size() == 2 && known[0].http_only && known[0].expires && !known[1].expires);
  });
  std::filesystem::remove(path);
  http::detail::cookie_store store({4096, 10, 10, [](const std::string&) { return false; }});
  const http::detail::cookie_origin origin{"h.example", "/", false};
  HOLDS(store.set(origin, "soon=1; Max-Age=1", 1000));
  HOLDS(!has(store.text(1001), "soon"));
  HOLDS(has(store.text(1000), "h.example\tFALSE\t/\tFALSE\t1001\tsoon\t1\n"));
}

TEST_P(HTTP_COOKIES, HTTP_CLI_COO_21_MemoryIsForLiveCookiesAndManyTasksMayUseAJar) {
  http::detail::cookie_store store({4096, 20, 3000, [](const std::string&) { return false; }});
  for (int i = 0; i < 30'000; ++i) {
    const std::string host = "h" + std::to_string(i % 1000) + ".example";
    const http::detail::cookie_origin origin{host, "/", false};
    (void)store.set(origin, "n" + std::to_string(i / 1000) + "=1; Max-Age=" + std::to_string(i % 7),
                    i / 100);
  }
  HOLDS(store.size() <= 3000);
  run([]() -> h::task<> {
    http::cookie_jar jar;
    std::vector<h::task<>> tasks;
    const auto one = [](http::cookie_jar of, int i) -> h::task<> {
      const auto mine = at("http://h" + std::to_string(i) + ".example/");
      for (int n = 0; n < 50; ++n) {
        (void)of.set(mine, "n" + std::to_string(n % 5) + "=" + std::to_string(n));
        (void)of.field_for(mine);
        co_await h::yield_now();
      }
    };
    for (int i = 0; i < 16; ++i) tasks.push_back(one(jar, i));
    auto all = h::gather(std::move(tasks));
    co_await all;
    EQUAL(jar.size(), 80u);
  });
}

TEST_P(HTTP_COOKIES, HTTP_SRV_RSP_09_ACookieIsSetByALineThatNobodyCanBreakOutOf) {
  http::cookie c;
  c.name = "sid";
  c.value = "a=b/c";
  c.path = "/p";
  c.domain = "example.com";
  c.max_age = 60;
  c.expires = 784111777;
  c.secure = c.http_only = c.partitioned = true;
  c.same_site = http::same_site::strict;
  EQUAL(c.text(),
        "sid=a=b/c; Path=/p; Domain=example.com; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 "
        "GMT; Secure; HttpOnly; SameSite=Strict; Partitioned");
  HOLDS(has(c.deletion().text(),
            "sid=; Path=/p; Domain=example.com; Max-Age=0; Expires=Thu, 01 "
            "Jan 1970 00:00:00 GMT"));
  const auto refuses = [](auto change) {
    http::cookie bad;
    bad.name = "n";
    change(bad);
    return !refused_with<h::bad_value>([&] { return bad.text(); }).empty();
  };
  HOLDS(refuses([](auto& b) { b.name = "a b"; }));
  HOLDS(refuses([](auto& b) { b.name = ""; }));
  HOLDS(refuses([](auto& b) { b.value = "x; Path=/"; }));
  HOLDS(refuses([](auto& b) { b.value = "x\r\nSet-Cookie: y"; }));
  HOLDS(refuses([](auto& b) { b.path = "/;x"; }));
  HOLDS(refuses([](auto& b) { b.domain = "x\n"; }));
  HOLDS(refuses([](auto& b) { b.name = "__Host-n"; }));
}

TEST_P(HTTP_COOKIES, HTTP_SRV_REQ_08_ABadCookieHidesNoneOfTheOthers) {
  const auto found =
      http::parse_cookies("a=b; c=\"x y\"; bad; d={\"j\":1}; e=\"unclosed; f=g; =h;;i=");
  using pair = std::pair<std::string, std::string>;
  const std::vector<pair> wanted = {{"a", "b"},          {"c", "x y"}, {"d", "{\"j\":1}"},
                                    {"e", "\"unclosed"}, {"f", "g"},   {"i", ""}};
  HOLDS(found == wanted);
}

}  // namespace
