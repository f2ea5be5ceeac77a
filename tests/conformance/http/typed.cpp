// SPDX-License-Identifier: MIT
// HTTP-SRV-RSP and HTTP-SRV-REQ: typed arguments and results of handlers, cookies, redirections,
// and what a request tells of its client.
#include "app.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/cookies.h>
#include <heddle/io/http/typed.h>

namespace {

using namespace conformance;

CASES(HTTP_SRV_RSP);
CASES(HTTP_SRV_REQ_TYPED);

struct user {
  int id = 0;
  std::string name;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(user, id, name)

http::headers one_field(std::string_view name, std::string_view value) {
  http::headers fields;
  fields.add(name, value);
  return fields;
}

std::string field(const http::response& r, std::string_view name) {
  return std::string(r.headers.get(name).value_or("(none)"));
}

using found = std::variant<user, http::problem>;

TEST_P(HTTP_SRV_RSP, HTTP_SRV_RSP_02_WhatAHandlerReturnsBecomesAnAnswer) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/user/{id}", [](http::path<int> id) { return user{id, "a"}; });
    r.get("/some/{id:int}", [](http::path<int> id) -> h::task<std::optional<user>> {
      co_await h::yield_now();
      std::optional<user> one;
      if (id == 1) one = user{1, "one"};
      co_return one;
    });
    r.get("/either/{id}", [](http::path<std::string> id) -> found {
      if (*id == "1") return user{1, "one"};
      return http::problem(409, "not this one").with("balance", "30");
    });
    r.get("/text", [] { return "plain"; });
    r.get("/string", [] { return std::string("string"); });
    r.get("/nothing", [](http::request&) {});
    r.get("/list", [] { return std::vector<int>{1, 2, 3}; });
    http::test_client c(r);
    auto asking = c.get("/user/7");
    const http::response one = co_await asking;
    EQUAL(one.status, 200);
    EQUAL(one.body, R"({"id":7,"name":"a"})");
    EQUAL(field(one, "content-type"), "application/json");
    EQUAL(co_await got(c, "/some/1"), R"(200 {"id":1,"name":"one"})");
    EQUAL(co_await got(c, "/some/2"), "404 404 Not Found");
    EQUAL(co_await got(c, "/either/1"), R"(200 {"id":1,"name":"one"})");
    auto asking_other = c.get("/either/2");
    const http::response other = co_await asking_other;
    EQUAL(other.status, 409);
    EQUAL(field(other, "content-type"), "application/problem+json");
    HOLDS(other.body.find(R"("balance":"30")") != std::string::npos);
    auto asking_text = c.get("/text");
    const http::response text = co_await asking_text;
    EQUAL(text.body, "plain");
    EQUAL(field(text, "content-type"), "text/plain; charset=utf-8");
    EQUAL(co_await got(c, "/string"), "200 string");
    EQUAL(co_await got(c, "/nothing"), "204 ");
    EQUAL(co_await got(c, "/list"), "200 [1,2,3]");
    EQUAL((co_await got(c, "/user/x")).substr(0, 4), "400 ");
    EQUAL((co_await got(c, "/user/99999999999")).substr(0, 4), "400 ");
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_REQ_TYPED, HTTP_SRV_REQ_03_BodiesAreReadAsWhatTheHandlerTakes) {
  run([]() -> h::task<> {
    http::router r;
    r.post("/u", [](http::json_body<user> u) { return u->name + std::to_string(u->id); });
    r.post("/twice", [](http::request& q) {
      return q.json<user>().name + q.json<user>().name + std::to_string(q.body.size());
    });
    r.post("/form", [](http::form_body<user> u) { return u->name + std::to_string(u->id); });
    r.get("/q", [](http::query_as<user> u) { return u->name + std::to_string(u->id); });
    r.get("/v", [](http::query_param<"n", int> n, std::optional<http::query_param<"m">> m) {
      return std::to_string(*n) + (m ? m->get() : "-");
    });
    r.get("/c",
          [](http::cookie_value<"sid"> sid, http::header_value<"X-A"> a) { return *sid + *a; });
    http::test_client c(r);
    const std::string good = R"({"id":7,"name":"ann"})";
    const auto json = one_field("Content-Type", "application/json; charset=utf-8");
    EQUAL(co_await asked(c, "POST", "/u", json, good), "200 ann7");
    EQUAL(co_await asked(c, "POST", "/twice", http::headers(), good), "200 annann21");
    for (const char* bad : {"{", "", "[]", R"({"id":"x","name":"a"})", R"({"id":1})"})
      EQUAL((co_await asked(c, "POST", "/u", json, bad)).substr(0, 4), "400 ");
    const auto text = one_field("Content-Type", "text/plain");
    EQUAL((co_await asked(c, "POST", "/u", text, good)).substr(0, 4), "415 ");
    const auto latin = one_field("Content-Type", "application/json; charset=iso-8859-1");
    EQUAL((co_await asked(c, "POST", "/u", latin, good)).substr(0, 4), "415 ");
    const auto form = one_field("Content-Type", "application/x-www-form-urlencoded");
    EQUAL(co_await asked(c, "POST", "/form", form, "id=7&name=a+b%21"), "200 a b!7");
    EQUAL((co_await asked(c, "POST", "/form", json, "id=7&name=a")).substr(0, 4), "415 ");
    EQUAL(co_await got(c, "/q?name=12&id=34"), "200 1234");
    EQUAL((co_await got(c, "/q?name=12&id=x")).substr(0, 4), "400 ");
    EQUAL(co_await got(c, "/v?n=-3"), "200 -3-");
    EQUAL(co_await got(c, "/v?n=3&m=4"), "200 34");
    EQUAL((co_await got(c, "/v")).substr(0, 4), "400 ");
    http::headers fields = one_field("Cookie", "a=b; sid=\"x y\"");
    fields.add("X-A", "!");
    EQUAL(co_await asked(c, "GET", "/c", fields, ""), "200 x y!");
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_REQ_TYPED, HTTP_SRV_REQ_08_ABrokenCookieHidesNoOther) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/", [](http::request& q) {
      std::string all;
      for (const auto& [name, value] : q.cookies()) all += name + ";";
      return all + q.cookie("d").value_or("(none)");
    });
    http::test_client c(r);
    const auto sent = one_field("Cookie", R"(a=b; c="x y"; bad; d={"j":1}; e="unclosed; f=g)");
    EQUAL(co_await asked(c, "GET", "/", sent, ""), R"(200 a;c;d;e;f;{"j":1})");
  });
}

TEST_P(HTTP_SRV_REQ_TYPED, HTTP_SRV_REQ_09_OnlyTrustedProxiesAreBelieved) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/", [](http::request& q) { return q.remote() + "|" + q.scheme() + "|" + q.host(); });
    http::test_client alone(r);
    http::headers fields = one_field("X-Forwarded-For", "1.1.1.1, 2.2.2.2");
    fields.add("X-Forwarded-Proto", "https");
    EQUAL(co_await asked(alone, "GET", "/", fields, ""), "200 |http|test");
    http::server_options o;
    o.trusted_proxies = {"unix", "10.0.0.0/8"};
    http::test_client behind(r, o);
    EQUAL(co_await asked(behind, "GET", "/", fields, ""), "200 2.2.2.2|https|test");
    const auto chain = one_field("X-Forwarded-For", "6.6.6.6, 3.3.3.3, 10.1.2.3");
    EQUAL(co_await asked(behind, "GET", "/", chain, ""), "200 3.3.3.3|http|test");
    const auto standard =
        one_field("Forwarded", R"(for=6.6.6.6, for="[2001:db8::1]:80";proto=https;host="b.com")");
    EQUAL(co_await asked(behind, "GET", "/", standard, ""), "200 2001:db8::1|https|b.com");
    o.trusted_proxies = {"10.0.0.0/40"};
    http::test_client wrong(r, o);
    EQUAL(co_await ending(wrong.start()), "BadValue");
  });
}

TEST_P(HTTP_SRV_RSP, HTTP_SRV_RSP_07_ARedirectionIsEncodedAndMayBeKeptHere) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/r", [](http::request&) { return http::redirect(http::see_other, "/x y\xc3\xa4%20"); });
    r.get("/t", [](http::request&) -> http::response {
      throw http::redirect(http::temporary_redirect, "https://other/");
    });
    http::test_client c(r);
    auto asking = c.get("/r");
    const http::response returned = co_await asking;
    EQUAL(returned.status, 303);
    EQUAL(field(returned, "location"), "/x%20y%C3%A4%20");
    auto asking_thrown = c.get("/t");
    const http::response thrown = co_await asking_thrown;
    EQUAL(thrown.status, 307);
    EQUAL(field(thrown, "location"), "https://other/");
  });
  using http::redirect;
  THROWS(h::bad_value, redirect(http::see_other, ""));
  for (const char* away : {"//evil", "/\\evil", "http://evil", "x", "/\t/evil"})
    THROWS(h::bad_value, redirect(http::found, away, http::redirect_to::local));
  EQUAL(redirect(http::found, "/a?b", http::redirect_to::local).location(), "/a?b");
}

TEST_P(HTTP_SRV_RSP, HTTP_SRV_RSP_09_EachCookieHasItsOwnLine) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/", [](http::request&) {
      http::cookie a;
      a.name = "a";
      a.value = "1";
      a.path = "/x";
      a.http_only = true;
      http::cookie other = a;
      other.path = "/y";
      http::response answer = http::redirect(http::found, "/");
      answer.set_cookie(a).set_cookie(other).delete_cookie(a);
      return answer;
    });
    http::test_client c(r);
    auto asking = c.get("/");
    const http::response answer = co_await asking;
    const auto lines = answer.headers.all("set-cookie");
    EQUAL(lines.size(), 3u);
    EQUAL(lines.at(0), "a=1; Path=/x; HttpOnly");
    EQUAL(lines.at(1), "a=1; Path=/y; HttpOnly");
    HOLDS(lines.at(2).starts_with("a=; "));
  });
  http::response plain;
  http::cookie bad;
  bad.name = "a b";
  THROWS(h::bad_value, plain.set_cookie(bad));
  EQUAL(std::string(plain.etag("x").headers.get("etag").value_or("")), "\"x\"");
  EQUAL(std::string(plain.etag("x", true).headers.get("etag").value_or("")), "W/\"x\"");
  THROWS(h::bad_value, plain.etag("a\"b"));
}

}  // namespace
