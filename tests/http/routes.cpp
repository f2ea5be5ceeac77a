// SPDX-License-Identifier: MIT
// Which route http::server chooses, and what it answers if none fits.
#include "http/site.h"

#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace http_test;

class HttpServerRoutes : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HttpServerRoutes, testing::ValuesIn(all_setups()), name_of);

std::string ask(std::string_view method, std::string_view target) {
  return std::string(method) + " " + std::string(target) +
         " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
}

std::string allow_of(const std::string& all) {
  const auto at = all.find("\r\nAllow: ");
  return at == std::string::npos ? "none" : all.substr(at + 9, all.find("\r\n", at + 2) - at - 9);
}

TEST_P(HttpServerRoutes, Answer501ToAMethodThatNobodyNames) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    for (const std::string_view m : {"BREW", "get", "CONNECT"}) {
      const std::string all = co_await talk(s, ask(m, m == "CONNECT" ? "h:80" : "/hello"));
      EXPECT_TRUE(bodies(all).starts_with("501:")) << all;
    }
    const std::string unknown = co_await talk(s, ask("BREW", "/nowhere"));
    EXPECT_TRUE(bodies(unknown).starts_with("501:")) << unknown;
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerRoutes, LetAnyMethodReachTheRouteThatNamesIt) {
  run([]() -> h::task<> {
    site s;
    s.server.route(http::method("BREW"), "/pot",
                   [](http::request& r) { return http::response::text(r.body + " is hot"); });
    co_await s.start();
    const std::string all = co_await talk(
        s, "BREW /pot HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ntea" + ask("BREW", "/hello"));
    EXPECT_EQ(bodies(all), "tea is hot 405:405 Method Not Allowed\n");
  });
}

TEST_P(HttpServerRoutes, AnswerOptionsForTheServerAsAWhole) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string path = co_await talk(s, ask("OPTIONS", "/hello"));
    EXPECT_TRUE(path.starts_with("HTTP/1.1 204 ")) << path;
    EXPECT_EQ(allow_of(path), "GET, HEAD, OPTIONS");
    const std::string star = co_await talk(s, ask("OPTIONS", "*"));
    EXPECT_TRUE(star.starts_with("HTTP/1.1 204 ")) << star;
    const auto all = allow_of(star);
    for (const auto* m : {"GET", "HEAD", "POST", "OPTIONS"})
      EXPECT_NE(all.find(m), std::string::npos) << all;
    const std::string none = co_await talk(s, ask("OPTIONS", "/nowhere"));
    EXPECT_TRUE(none.starts_with("HTTP/1.1 404 ")) << none;
  });
}

TEST_P(HttpServerRoutes, NameTheMethodsOfAllRoutesThatHaveThePath) {
  run([]() -> h::task<> {
    site s;
    const auto say = [](const char* what) {
      return [what](http::request&) { return http::response::text(what); };
    };
    s.server.route(http::method::put, "/any/x", say("put"));
    s.server.prefix(http::method::delete_, "/any/", say("delete"));
    co_await s.start();
    const std::string put = co_await talk(s, ask("PUT", "/any/x"));
    EXPECT_EQ(bodies(put), "put");
    const std::string get = co_await talk(s, ask("GET", "/any/x"));  // by the prefix
    EXPECT_EQ(bodies(get), "/any/x");
    const std::string post = co_await talk(s, ask("POST", "/any/x"));
    EXPECT_TRUE(post.starts_with("HTTP/1.1 405 ")) << post;
    EXPECT_EQ(allow_of(post), "DELETE, GET, HEAD, PUT");
  });
}

TEST_P(HttpServerRoutes, TakeAnEncodedSlashForNoSeparator) {
  run([]() -> h::task<> {
    site s;
    s.server.get("/a/b", [](http::request&) { return http::response::text("guarded"); });
    co_await s.start();
    const std::string all = co_await talk(
        s, get("/a%2Fb") + get("/any%2Fx") + get("/any/x%2fy") + get("/a/b", and_close));
    EXPECT_EQ(bodies(all), "404:404 Not Found\n 404:404 Not Found\n /any/x%2Fy guarded");
  });
}

TEST_P(HttpServerRoutes, SeeTheHostOfAnAbsoluteTarget) {
  run([]() -> h::task<> {
    site s;
    s.server.get("/host", [](http::request& r) {
      return http::response::text(std::string(r.headers.get("host").value_or("none")));
    });
    co_await s.start();
    const std::string all =
        co_await talk(s, get("http://real:8080/host") + get("/host", and_close));
    EXPECT_EQ(bodies(all), "real:8080 h");
  });
}

TEST_P(HttpServerRoutes, ReportAPathWithoutItsControlCharacters) {
  run([]() -> h::task<> {
    site s;
    s.server.prefix(http::method::get, "/fails/",
                    [](http::request&) -> http::response { throw std::runtime_error("no"); });
    co_await s.start();
    const std::string all = co_await talk(s, get("/fails/%0d%0aforged%1b", and_close));
    EXPECT_TRUE(bodies(all).starts_with("500:")) << all;
  });
  EXPECT_EQ(reports, std::vector<std::string>{
                         "unhandled exception in the handler of GET /fails/\\x0d\\x0aforged\\x1b"});
}

}  // namespace
